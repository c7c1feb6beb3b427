"""RELION's optics groups as scipion-em-relion keeps them with a set: as the text of their table."""

import shlex

from .constants import PREMULTIPLIED_LABEL

GROUP_LABEL = "rlnOpticsGroup"
GROUP_ATTRIBUTE = "_rlnOpticsGroup"
TABLE_ATTRIBUTE = "opticsGroupInfo"


def premultiplied_groups(acquisition):
    """Numbers of the optics groups whose images were multiplied by their CTF; empty where nothing is said of that."""
    text = getattr(acquisition, TABLE_ATTRIBUTE, None)
    rows = table_rows(text.get() or "") if text is not None else []
    return {int(float(row.get(GROUP_LABEL, 1))) for row in rows if float(row.get(PREMULTIPLIED_LABEL, 0)) > 0}


def group_of(particle):
    """The number of a particle's optics group; 1 where it has none."""
    group = getattr(particle, GROUP_ATTRIBUTE, None)
    return 1 if group is None or group.get() is None else int(group.get())


def table_rows(text):
    """The rows of a STAR loop, each a dictionary of label (without underscore) to text."""
    labels, rows = [], []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("_"):
            labels.append(line.split()[0][1:])
        elif labels and line and not line.startswith(("#", "data_", "loop_")):
            rows.append(dict(zip(labels, shlex.split(line))))
    return rows
