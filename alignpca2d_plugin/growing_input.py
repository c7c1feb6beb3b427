"""A look at a set that another protocol is writing."""

import os
import sqlite3
from pathlib import Path

from pyworkflow.object import Set
from pyworkflow.utils.retry_streaming import retry_on_sqlite_lock

SECONDS_FOR_A_LOCK = 20


def look(items):
    """Whether a set is still growing, and the ids of its enabled items, both of one moment.

    pyworkflow's safeIsStreamOpen takes a database that is locked for some seconds for one that is closed, which would
    end the stream too soon.

    Parameters
    ----------
    items : Set
        Only its file name and, for a file without items, its own state are used.

    Returns
    -------
    bool, set of int
    """
    path = items.getFileName()
    if not path or not os.path.exists(path):
        return items.isStreamOpen(), set()
    return _read(path, (items.getPrefix() or "").strip(), items.isStreamOpen())


def is_open(items):
    """Whether a set is still growing."""
    return look(items)[0]


def refresh(items):
    """Let a set that this process has loaded know what its file says by now."""
    items.close()
    items.load()
    items.loadAllProperties()
    items.close()


@retry_on_sqlite_lock()
def _read(path, prefix, was_open):
    connection = sqlite3.connect(Path(path).absolute().as_uri() + "?mode=ro", uri=True, timeout=SECONDS_FOR_A_LOCK)
    try:
        connection.isolation_level = None
        connection.execute("BEGIN")  # one snapshot for the state and the ids
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        objects = f"{prefix}_Objects" if prefix and not prefix.endswith("_") else f"{prefix}Objects"
        if not {"Properties", objects} <= tables:
            return was_open, set()
        state = connection.execute("SELECT value FROM Properties WHERE key = '_streamState'").fetchone()
        ids = {row[0] for row in connection.execute(f"SELECT id FROM {objects} WHERE enabled = 1")}
        return state is not None and int(state[0]) == Set.STREAM_OPEN, ids
    finally:
        connection.close()
