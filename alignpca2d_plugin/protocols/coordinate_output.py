"""outputCoordinates: where the particles' centres were found in their micrographs, to extract particles again."""

from collections import defaultdict

import numpy as np
from pwem.objects import Coordinate
from pyworkflow.object import Float

from ..class_members import items_of
from ..constants import AUTOMATIC

NAME = "outputCoordinates"


def deliver(protocol, particle_output):
    """Make the set of coordinates where micrographs were given; a list with it, or an empty one.

    Where particles of some classes alone are delivered, the coordinates are those of the same classes.

    Parameters
    ----------
    protocol : ProtAlignPCA2D
    particle_output : ParticleOutput
    """
    micrographs = protocol.inputMicrographs.get()
    if micrographs is None:
        return []
    coordinates = protocol._createSetOfCoordinates(protocol.inputMicrographs)
    least = protocol.minimumDistance.get()
    is_chosen = particle_output.is_chosen if particle_output.place else every_class
    distance = None if least == AUTOMATIC else least
    count, lost, near = fill_coordinates(coordinates, protocol.outputClasses, micrographs, distance, is_chosen)
    if lost:
        protocol.warning(f"{lost} particles have no coordinates in these micrographs")
    if near:
        protocol.info(f"{near} particles are nearer than {least:g} Å to another and are left out of the coordinates")
    if not count:
        protocol.addSummaryWarning("No particle has coordinates in the micrographs given.")
        return []
    protocol._defineOutputs(**{NAME: coordinates})
    protocol._defineSourceRelation(protocol.inputMicrographs, coordinates)
    return [coordinates]


def every_class(_):
    """The choice of all classes."""
    return True


def centre_of(transform):
    """Where the average's middle lies in a particle, pixels from the particle's own middle (x, y)."""
    matrix = transform.getMatrix()
    return -np.linalg.solve(matrix[:2, :2], matrix[:2, 3])


def fill_coordinates(coordinates, classes, micrographs, distance=None, is_chosen=every_class):
    """Fill an empty SetOfCoordinates with those of the members of chosen classes, moved to their centres.

    Scipion's coordinates of particles are in the particles' pixels; those of the set are in the micrographs'.

    Parameters
    ----------
    coordinates : SetOfCoordinates
    classes : SetOfClasses2D
    micrographs : SetOfMicrographs
    distance : float, optional
        Å.  Of particles that are nearer to each other, the one that fits its class best is kept.
    is_chosen : function of a Class2D

    Returns
    -------
    int, int, int
        Coordinates, particles without one or whose micrograph is not there, and near-duplicates left out.
    """
    pixel = micrographs.getSamplingRate()
    scale = classes.getSamplingRate() / pixel
    known = {}
    for micrograph in micrographs.iterItems():
        own = micrograph.clone()
        known[own.getObjId()] = known[own.getMicName()] = own
    found, lost = defaultdict(list), 0
    for item in filter(is_chosen, items_of(classes)):
        for particle in item.iterItems():
            given = particle.getCoordinate()
            micrograph = given and (known.get(given.getMicName()) or known.get(given.getMicId()))
            if micrograph is None:
                lost += 1
                continue
            place = (np.array(given.getPosition(), dtype=float) + centre_of(particle.getTransform())) * scale
            score = particle.getAttributeValue("_alignpca2d_score", 0.0)
            found[micrograph.getObjId()].append((score, particle.getObjId(), place))
    count = 0
    for number, members in sorted(found.items()):
        for object_id, place in _apart(members, (distance or 0.0) / pixel):
            coordinates.append(_coordinate(object_id, place, known[number]))
            count += 1
    coordinates.setBoxSize(round(classes.getImages().getXDim() * scale))
    return count, lost, sum(map(len, found.values())) - count


def _apart(members, distance):
    """Ids and places, those with the best scores first, of which none is nearer than `distance` to another."""
    kept = []
    for _, object_id, place in sorted(members, key=lambda member: (-member[0], member[1])):
        if (
            not kept
            or distance <= 0
            or np.linalg.norm(np.array([p for _, p in kept]) - place, axis=1).min() >= distance
        ):
            kept.append((object_id, place))
    return kept


def _coordinate(object_id, place, micrograph):
    """A coordinate in whole pixels, and how far it is off, as pwem's own protocol notes it."""
    whole = np.rint(place)
    coordinate = Coordinate()
    coordinate.setObjId(object_id)
    coordinate.xFrac, coordinate.yFrac = Float(whole[0] - place[0]), Float(whole[1] - place[1])
    coordinate.setPosition(int(whole[0]), int(whole[1]))
    coordinate.setMicrograph(micrograph)
    return coordinate
