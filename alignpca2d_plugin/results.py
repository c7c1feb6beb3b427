"""Reading the core's tables and its summary."""

import json
import os
import shlex
from collections import namedtuple

import numpy as np
from pwem.objects import Transform

from .constants import (
    CLASS_LABEL,
    CLASSES_XMD,
    COUNT_LABEL,
    FLIP_LABEL,
    ID_LABEL,
    IMAGE_LABEL,
    PARTICLES_XMD,
    PSI_LABEL,
    QUALITY_LABEL,
    RESOLUTION_LABEL,
    SCORE_LABEL,
    SHIFT_X_LABEL,
    SHIFT_Y_LABEL,
    SUMMARY_JSON,
)

ClassRow = namedtuple("ClassRow", "ref index size resolution quality verdict score")
Assignment = namedtuple("Assignment", "ref psi shift_x shift_y score flip", defaults=(0,))


def read_rows(path, block, labels):
    """Iterate over the rows of a block of a metadata file as tuples of text, one item per label of `labels`.

    A label that the block does not have raises ValueError, as does a block that the file does not have.
    """
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            if line.strip() == "data_" + block:
                break
        else:
            raise ValueError(f"{path}: no block {block}")
        columns, here = None, []
        for line in stream:
            text = line.strip()
            if text.startswith("data_"):
                break
            if not text or text.startswith("#") or text == "loop_":
                continue
            if text.startswith("_"):
                here.append(text.split()[0][1:])
                continue
            if columns is None:
                missing = [label for label in labels if label not in here]
                if missing:
                    raise ValueError(f"{path}: block {block} has no column {missing[0]}")
                columns = [here.index(label) for label in labels]
            words = shlex.split(text) if "'" in text or '"' in text else text.split()
            yield tuple(words[column] for column in columns)


def read_assignments(folder, table=PARTICLES_XMD):
    """The class and the alignment of the particles of a table: {id: Assignment}, None for one without a class."""
    labels = (ID_LABEL, CLASS_LABEL, PSI_LABEL, SHIFT_X_LABEL, SHIFT_Y_LABEL, SCORE_LABEL, FLIP_LABEL)
    found = {}
    for row in read_rows(os.path.join(folder, table), "particles", labels):
        ref = int(row[1])
        found[int(row[0])] = Assignment(ref, *map(float, row[2:])) if ref > 0 else None
    return found


def read_ids(folder):
    """The set of ids of all particles that the core knows, with or without a class."""
    return {int(row[0]) for row in read_rows(os.path.join(folder, PARTICLES_XMD), "particles", (ID_LABEL,))}


def read_classes(folder):
    """The rows of the classes' table, in its order: [ClassRow, ...]."""
    labels = (CLASS_LABEL, IMAGE_LABEL, COUNT_LABEL, RESOLUTION_LABEL, QUALITY_LABEL)
    rows = list(read_rows(os.path.join(folder, CLASSES_XMD), "classes", labels))
    figures = read_summary(folder).get("classes", {})
    verdicts, scores = figures.get("verdict") or [], figures.get("score_mean") or []
    if len(verdicts) != len(rows):
        verdicts = [""] * len(rows)
    if len(scores) != len(rows):
        scores = [None] * len(rows)
    return [
        ClassRow(int(ref), int(image.partition("@")[0]), int(size), float(resolution), float(quality), verdict, score)
        for (ref, image, size, resolution, quality), verdict, score in zip(rows, verdicts, scores)
    ]


def read_summary(folder):
    """summary.json as a dict; empty while there is none."""
    try:
        with open(os.path.join(folder, SUMMARY_JSON), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return {}


def alignment_2d(assignment):
    """Scipion's transform of an Assignment: x' = A x + t, A = [[cos ψ, sin ψ], [−sin ψ, cos ψ]], shifts in pixels.

    A particle that is mirrored has the first row of A, and the third axis, turned over.
    """
    psi = np.deg2rad(assignment.psi)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]]
    if assignment.flip:
        matrix[0, :2] *= -1
        matrix[2, 2] = -1
    matrix[:2, 3] = assignment.shift_x, assignment.shift_y
    return Transform(matrix)
