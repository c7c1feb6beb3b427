"""The members of the classes in a SetOfClasses2D's file, one by one: for changes that do not write it whole."""

from pwem.objects import Class2D, Particle

from .convert import IDS_AT_ONCE

SELF = "self"


class OtherColumns(Exception):
    """The set in the file has other columns than the items for it, or other members than the core says."""


def items_of(classes):
    """The Class2D of a set, each with its own tables open; pwem's iterator gives the same object again and again."""
    found = []
    for item in classes.iterItems():
        own = item.clone()
        classes._setItemMapperPath(own)
        found.append(own)
    return found


def new_class(classes, particles, ref):
    item = Class2D(objId=ref)
    item.setRepresentative(Particle())
    item.copyInfo(particles)
    item.setAcquisition(particles.getAcquisition())
    classes._setItemMapperPath(item)
    return item


class Members:
    """The particles of one class."""

    def __init__(self, item):
        self.item = item
        self._mapper = item._getMapper()
        self._table = None if self._mapper.doCreateTables else Table(self._mapper.db)

    def __len__(self):
        return self._mapper.count()

    def add(self, particle):
        if self._table is None:
            self._mapper.insert(particle)
            self._table = Table(self._mapper.db)
        else:
            self._table.insert(particle)

    def remove(self, ids):
        """Take these particles out, whether they are in this class or not."""
        if self._table is not None:
            self._table.delete(ids)

    def drop(self):
        """A class without members has no tables: they would make its iteration fail."""
        for table in ("Objects", "Classes"):
            self._mapper.db.executeCommand(f"DROP TABLE IF EXISTS {self._mapper.db.tablePrefix}{table}")


class Table:
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
