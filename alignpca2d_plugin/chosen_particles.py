"""The particles of chosen classes as a set of its own, which follows the classes while a stream runs.

At every moment it holds the members of the classes that are chosen by then: particles come with each batch, and a
particle that moves to another class, or whose class is no longer chosen, leaves.
"""

import os
import shutil

from pwem.objects import SetOfParticles
from pyworkflow.object import Set

from .class_members import Members, OtherColumns, items_of
from .convert import items_by_id
from .set_files import beside, put


def has_verdict(verdicts):
    """The choice of the classes that have one of these verdicts, for the functions below."""
    return lambda item: item._alignpca2d_verdict.get() in verdicts


def has_number(numbers):
    """The choice of the classes with these numbers, which stay theirs while a stream grows."""
    return lambda item: item.getObjId() in numbers


def write_particles_of(path, particles, classes, is_chosen, state=Set.STREAM_CLOSED):
    """Write a SetOfParticles with the members of the chosen classes.

    They keep what they have in the input, with the alignment and the score of the classification.

    Parameters
    ----------
    path : str
        The set's file, which is replaced.
    particles : SetOfParticles
        The input, whose properties the set takes over.
    classes : SetOfClasses2D
    is_chosen : function of a Class2D
    state : int
        Whether more particles may come.

    Returns
    -------
    int
        How many there are.  Where there are none and the set has no file yet, none is made.
    """
    temporary = beside(path)
    chosen = SetOfParticles(filename=temporary)
    chosen.copyInfo(particles)
    chosen.setAlignment2D()
    number = 0
    for item in filter(is_chosen, items_of(classes)):
        for particle in item.iterItems():
            chosen.append(particle)
            number += 1
    classes.close()
    if number or os.path.exists(path):
        put(chosen, temporary, path, state)
    else:
        chosen.close()
        beside(path)
    return number


def update_particles_of(path, classes, is_chosen, changed, state=Set.STREAM_CLOSED):
    """Bring a set that :func:`write_particles_of` has made up to date with the classes.

    The cost is that of copying the file and of the particles that come, leave or changed.

    Parameters
    ----------
    path, classes, is_chosen, state
        As there.
    changed : iterable of int
        Ids of the particles whose alignment may be another than in the file.

    Returns
    -------
    int
        How many particles the set has now.

    Raises
    ------
    OtherColumns
        When the set does not fit the classes: it must then be written whole.
    """
    temporary = beside(path)
    shutil.copyfile(path, temporary)
    chosen = SetOfParticles(filename=temporary)
    try:
        chosen.loadAllProperties()
        members = Members(chosen)
        if not len(members):
            raise OtherColumns("the set of particles was empty")
        found = [(item, item.getIdSet()) for item in items_of(classes) if is_chosen(item)]
        before, after = chosen.getIdSet(), set().union(*(ids for _, ids in found))
        kept = (before & after).difference(changed)
        members.remove(before - kept)
        for item, ids in found:
            for particle in items_by_id(item, ids - kept):
                members.add(particle)
        chosen._size.set(len(after))
        put(chosen, temporary, path, state)
    finally:
        chosen.close()
        classes.close()
    return len(after)
