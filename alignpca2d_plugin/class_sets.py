"""The core's tables → Scipion's sets of classes and averages, always by the particle's id and never by its row.

A set of classes is either filled whole, or brought up to date with the particles that changed.  Both happen in a file
of another name, whose content then becomes that of the set's file at one stroke, so that a process that reads the
set, or comes after a crash, finds it as it was before or as it is afterwards.
"""

import os

from pwem.constants import ALIGN_NONE
from pwem.objects import Particle, SetOfAverages, SetOfClasses2D
from pyworkflow.object import Float, Integer, Set, String

from .class_members import Members, OtherColumns, Table, items_of, new_class
from .constants import CHANGED_XMD, CLASSES_STACK
from .convert import items_by_id
from .results import alignment_2d, read_assignments, read_classes
from .set_files import replacing


def write_classes(path, images, folder, state=Set.STREAM_CLOSED):
    """Write a SetOfClasses2D with every particle that the core has classified.

    Parameters
    ----------
    path : str
        The set's file, which is replaced.
    images : Pointer
        To the input particles.
    folder : str
        The core's output folder.
    state : int
        Whether more particles may come.
    """
    with replacing(SetOfClasses2D, path, state) as classes:
        classes.setImages(images)
        fill_classes(classes, folder)
    images.get().close()


def update_classes(path, images, folder, state=Set.STREAM_CLOSED):
    """Bring a SetOfClasses2D up to date with the particles in the core's table of changes.

    The cost is that of copying the file and of the particles that changed.

    Parameters
    ----------
    path, images, folder, state
        As for :func:`write_classes`.

    Raises
    ------
    OtherColumns
        When the set does not fit the table: it must then be written whole.
    """
    try:
        with replacing(SetOfClasses2D, path, state, copied=True) as classes:
            classes.setImages(images)
            _apply(classes, images.get(), read_assignments(folder, CHANGED_XMD), folder)
    finally:
        images.get().close()


def write_averages(path, particles, folder, state=Set.STREAM_CLOSED):
    """Write the SetOfAverages of the classes, under their ids; `particles` are the input."""
    with replacing(SetOfAverages, path, state) as averages:
        averages.copyInfo(particles)
        averages.setAlignment(ALIGN_NONE)
        averages.setHasCTF(False)
        averages.setIsPhaseFlipped(False)
        fill_averages(averages, folder)


def fill_classes(classes, folder):
    """Fill an empty SetOfClasses2D, whose images are set, from the core's output folder."""
    assignments = read_assignments(folder)
    rows = {row.ref: row for row in read_classes(folder)}

    def update_item(particle, _):
        assignment = assignments.get(particle.getObjId())
        particle._appendItem = assignment is not None
        if assignment is not None:
            _align(particle, assignment)

    classes.classifyItems(
        updateItemCallback=update_item,
        updateClassCallback=lambda item: _describe(item, rows[item.getObjId()], folder),
        doClone=False,
    )


def fill_averages(averages, folder):
    """Fill an empty SetOfAverages, whose sampling rate is set, with the averages of the classes, under their ids.

    A class that was given to start from and that no particle joined is left out, as it is of the SetOfClasses2D.
    """
    for row in (row for row in read_classes(folder) if row.size):
        average = Particle(objId=row.ref)
        average.setLocation(row.index, os.path.join(folder, CLASSES_STACK))
        average.setClassId(row.ref)
        average._alignpca2d_size = Integer(row.size)
        _set_figures(average, row)
        averages.append(average)


def _align(particle, assignment):
    particle.setClassId(assignment.ref)
    particle.setTransform(alignment_2d(assignment))
    particle._alignpca2d_score = Float(assignment.score)


def _describe(item, row, folder):
    """Give a class its representative and its figures."""
    item.setAlignment2D()
    item.getRepresentative().setLocation(row.index, os.path.join(folder, CLASSES_STACK))
    item.getRepresentative().setSamplingRate(item.getSamplingRate())
    _set_figures(item, row)


def _set_figures(item, row):
    """Extended attributes of a class or an average: resolution in Å, quality, verdict, mean score of the members."""
    item._alignpca2d_resolution = Float(row.resolution)
    item._alignpca2d_quality = Float(row.quality)
    item._alignpca2d_verdict = String(row.verdict)
    item._alignpca2d_score = Float(row.score)


def _apply(classes, particles, changes, folder):
    """Move and add the particles of `changes` {id: Assignment or None}, and describe every class again."""
    members = {item.getObjId(): Members(item) for item in items_of(classes)}
    for one in members.values():
        one.remove(changes)
    rows = {row.ref: row for row in read_classes(folder) if row.size}
    for particle in items_by_id(particles, [i for i, found in changes.items() if found is not None]):
        assignment = changes[particle.getObjId()]
        if assignment.ref not in members:
            members[assignment.ref] = Members(new_class(classes, particles, assignment.ref))
        _align(particle, assignment)
        members[assignment.ref].add(particle)
    found = {ref: len(one) for ref, one in members.items() if len(one)}
    if found != {ref: row.size for ref, row in rows.items()}:
        raise OtherColumns(f"the classes have {found} members")
    table = Table(classes._getMapper().db)
    for ref, one in members.items():
        table.delete([ref])
        if ref in rows:
            one.item._size.set(len(one))
            _describe(one.item, rows[ref], folder)
            table.insert(one.item)
        else:
            one.drop()
    classes._representatives.set(True)
    classes._size.set(len(rows))
