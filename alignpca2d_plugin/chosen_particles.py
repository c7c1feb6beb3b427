"""The particles of chosen classes as a set of its own, which follows the classes while a stream runs.

At every moment it holds the members of the classes that are chosen by then: particles come with each batch, and a
particle that moves to another class, or whose class is no longer chosen, leaves.
"""

import os

from pwem.objects import SetOfParticles
from pyworkflow.object import Set

from .class_members import Members, OtherColumns, items_of
from .convert import items_by_id
from .set_files import replacing


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
    found = [item for item in items_of(classes) if is_chosen(item)]
    number = sum(item.getSize() for item in found)
    if number or os.path.exists(path):
        with replacing(SetOfParticles, path, state) as chosen:
            chosen.copyInfo(particles)
            chosen.setAlignment2D()
            for item in found:
                for particle in item.iterItems():
                    chosen.append(particle)
    classes.close()
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
    try:
        with replacing(SetOfParticles, path, state, copied=True) as chosen:
            chosen.loadAllProperties()
            number = _bring_up_to_date(chosen, [item for item in items_of(classes) if is_chosen(item)], changed)
    finally:
        classes.close()
    return number


def _bring_up_to_date(chosen, classes, changed):
    """Let a set have the members of these classes, once more where they `changed`; how many there are."""
    members = Members(chosen)
    if not len(members):
        raise OtherColumns("the set of particles was empty")
    found = [(item, item.getIdSet()) for item in classes]
    before, after = chosen.getIdSet(), set().union(*(ids for _, ids in found))
    kept = (before & after).difference(changed)
    members.remove(before - kept)
    for item, ids in found:
        for particle in items_by_id(item, ids - kept):
            members.add(particle)
    chosen._size.set(len(after))
    return len(after)
