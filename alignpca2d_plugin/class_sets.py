"""The core's tables → Scipion's sets of classes and averages, always by the particle's id and never by its row.

A set of classes is either filled whole, or brought up to date with the particles that changed.  Both happen in a file
of another name, whose content then becomes that of the set's file at one stroke, so that whoever reads the set, or
comes after a crash, finds it as it was before or as it is afterwards.
"""

import os
import shutil
import sqlite3
import time
from contextlib import closing

from pwem.constants import ALIGN_NONE
from pwem.objects import Class2D, Particle, SetOfAverages, SetOfClasses2D, SetOfParticles
from pyworkflow.object import Float, Integer, Set, String

from .constants import CHANGED_XMD, CLASSES_STACK
from .convert import IDS_AT_ONCE, items_by_id
from .results import alignment_2d, read_assignments, read_classes

SELF = "self"
SECONDS_FOR_READERS = 20
"""Who holds a set longer than this is left with its old file."""
BUSY_OR_LOCKED = (5, 6)
"""SQLite's codes."""


class OtherColumns(Exception):
    """The set in the file has other columns than the items for it, or other members than the core says."""


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
        Whether more particles may come: the file says so from the first moment, since others follow it.
    """
    temporary = _beside(path)
    classes = SetOfClasses2D(filename=temporary)
    classes.setImages(images)
    fill_classes(classes, folder)
    _put(classes, temporary, path, state)
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
    temporary = _beside(path)
    shutil.copyfile(path, temporary)
    classes = SetOfClasses2D(filename=temporary)
    classes.setImages(images)
    try:
        _apply(classes, images.get(), read_assignments(folder, CHANGED_XMD), folder)
        _put(classes, temporary, path, state)
    finally:
        classes.close()
        images.get().close()


def write_averages(path, particles, folder, state=Set.STREAM_CLOSED):
    """Write the SetOfAverages of the classes, under their ids; `particles` are the input."""
    temporary = _beside(path)
    averages = SetOfAverages(filename=temporary)
    averages.copyInfo(particles)
    averages.setAlignment(ALIGN_NONE)
    averages.setHasCTF(False)
    averages.setIsPhaseFlipped(False)
    fill_averages(averages, folder)
    _put(averages, temporary, path, state)


def write_particles_of(path, particles, classes, verdicts):
    """Write a SetOfParticles with the members of the classes that have one of these verdicts.

    They keep what they have in the input, with the alignment and the score of the classification.

    Returns
    -------
    int
        How many there are; no file is left when there are none.
    """
    temporary, number = _beside(path), 0
    chosen = SetOfParticles(filename=temporary)
    chosen.copyInfo(particles)
    chosen.setAlignment2D()
    for item in _items(classes):
        if item._alignpca2d_verdict.get() in verdicts:
            for particle in item.iterItems():
                chosen.append(particle)
                number += 1
    classes.close()
    if number:
        _put(chosen, temporary, path, Set.STREAM_CLOSED)
    else:
        chosen.close()
        _beside(path)
    return number


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
    """Extended attributes of a class or an average: resolution in Å, quality and verdict."""
    item._alignpca2d_resolution = Float(row.resolution)
    item._alignpca2d_quality = Float(row.quality)
    item._alignpca2d_verdict = String(row.verdict)


def _apply(classes, particles, changes, folder):
    """Move and add the particles of `changes` {id: Assignment or None}, and describe every class anew."""
    members = {item.getObjId(): _Members(item) for item in _items(classes)}
    for one in members.values():
        one.remove(changes)
    rows = {row.ref: row for row in read_classes(folder) if row.size}
    for particle in items_by_id(particles, [i for i, found in changes.items() if found is not None]):
        assignment = changes[particle.getObjId()]
        if assignment.ref not in members:
            members[assignment.ref] = _Members(_new_class(classes, particles, assignment.ref))
        _align(particle, assignment)
        members[assignment.ref].add(particle)
    found = {ref: len(one) for ref, one in members.items() if len(one)}
    if found != {ref: row.size for ref, row in rows.items()}:
        raise OtherColumns(f"the classes have {found} members")
    table = _Table(classes._getMapper().db)
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


def _items(classes):
    """The Class2D of a set, each with its own tables open; pwem's iterator gives the same object again and again."""
    found = []
    for item in classes.iterItems():
        own = item.clone()
        classes._setItemMapperPath(own)
        found.append(own)
    return found


def _new_class(classes, particles, ref):
    item = Class2D(objId=ref)
    item.setRepresentative(Particle())
    item.copyInfo(particles)
    item.setAcquisition(particles.getAcquisition())
    classes._setItemMapperPath(item)
    return item


class _Members:
    """The particles of one class."""

    def __init__(self, item):
        self.item = item
        self._mapper = item._getMapper()
        self._table = None if self._mapper.doCreateTables else _Table(self._mapper.db)

    def __len__(self):
        return self._mapper.count()

    def add(self, particle):
        if self._table is None:
            self._mapper.insert(particle)
            self._table = _Table(self._mapper.db)
        else:
            self._table.insert(particle)

    def remove(self, ids):
        """Take these particles out, whether they are in this class or not."""
        if self._table is not None:
            self._table.delete(ids)

    def drop(self):
        """A class that nobody is left in has no tables: they would make its iteration fail."""
        for table in ("Objects", "Classes"):
            self._mapper.db.executeCommand(f"DROP TABLE IF EXISTS {self._mapper.db.tablePrefix}{table}")


class _Table:
    """Rows of items, written by the names of their attributes.

    pwem writes them by their order, which is another one for an object that was read than for one that was made.
    """

    def __init__(self, db):
        self._db = db
        self._columns = {row["label_property"]: row["column_name"] for row in db.getClassRows()}
        self._columns.pop(SELF)

    def insert(self, item):
        values = item.getObjDict()
        if set(values) != set(self._columns):
            raise OtherColumns(f"the columns {sorted(set(values) ^ set(self._columns))} are not in both")
        columns = ", ".join(["id", "enabled", "label", "comment", "creation", *map(self._columns.get, values)])
        marks = ", ".join(["?"] * 4 + ["datetime('now')"] + ["?"] * len(values))
        common = item.getObjId(), item.isEnabled(), item.getObjLabel(), item.getObjComment()
        command = f"INSERT INTO {self._db.tablePrefix}Objects ({columns}) VALUES ({marks})"
        self._db.executeCommand(command, (*common, *values.values()))

    def delete(self, ids):
        wanted = sorted(ids)
        for first in range(0, len(wanted), IDS_AT_ONCE):
            chunk = ",".join(map(str, wanted[first : first + IDS_AT_ONCE]))
            self._db.executeCommand(f"{self._db.DELETE} id IN ({chunk})")


def _beside(path):
    """The name under which a set is prepared; what a crash left there is removed."""
    temporary = path + ".new"
    for name in (temporary, temporary + "-journal"):
        if os.path.exists(name):
            os.remove(name)
    return temporary


def _put(items, temporary, path, state):
    """Close a set and let the content of its file become that of the one at `path`.

    The file stays the same where there is one, for other processes may have it open and wait for it to change.
    """
    items._mapperPath.set(f"{path}, ")
    items.setStreamState(state)
    items.write()
    items.close()
    if os.path.exists(path) and _copy_content(temporary, path):
        os.remove(temporary)
    else:
        os.replace(temporary, path)


def _copy_content(source, path):
    """Copy a database into another in one transaction; say whether nobody who reads that stood in the way."""
    end = time.monotonic() + SECONDS_FOR_READERS

    def be_patient(status, remaining, total):
        if status in BUSY_OR_LOCKED and time.monotonic() > end:
            raise TimeoutError

    with closing(sqlite3.connect(source)) as new, closing(sqlite3.connect(path, timeout=1)) as old:
        try:
            new.backup(old, progress=be_patient)
        except TimeoutError:
            return False
    return True
