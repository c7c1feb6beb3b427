"""Files of Scipion's sets that are replaced as a whole, also where another process has them open."""

import os
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager

SECONDS_FOR_READERS = 20
"""Who holds a set longer than this is left with its old file."""
BUSY_OR_LOCKED = (5, 6)
"""SQLite's codes."""


@contextmanager
def replacing(kind, path, state, copied=False):
    """A set to fill, whose content becomes that of the set at `path` when the block ends, and only if it ends well.

    Parameters
    ----------
    kind : type
        Class of the set.
    path : str
        The set's file, which need not exist unless it is copied.
    state : int
        Whether more items may come: the file says so from the first moment, since others follow it.
    copied : bool
        Whether the set begins with what is at `path`, otherwise it is empty.
    """
    temporary = _beside(path)
    if copied:
        shutil.copyfile(path, temporary)
    items = kind(filename=temporary)
    try:
        yield items
        _put(items, temporary, path, state)
    finally:
        items.close()


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
    """Copy a database into another in one transaction; say whether no process that reads that stood in the way."""
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
