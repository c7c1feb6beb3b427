"""The core's tables → Scipion's classes and averages, always by the particle's id and never by its row."""

import json
import os
import shlex
from collections import namedtuple

import numpy as np
from pwem.objects import Particle, Transform
from pyworkflow.object import Float, Integer

from .constants import (
    CLASS_LABEL,
    CLASSES_STACK,
    CLASSES_XMD,
    COUNT_LABEL,
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

ClassRow = namedtuple("ClassRow", "ref index size resolution quality")
Assignment = namedtuple("Assignment", "ref psi shift_x shift_y score")


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


def read_assignments(folder):
    """The class and the alignment of every particle that got one: {id: Assignment}."""
    labels = (ID_LABEL, CLASS_LABEL, PSI_LABEL, SHIFT_X_LABEL, SHIFT_Y_LABEL, SCORE_LABEL)
    found = {}
    for row in read_rows(os.path.join(folder, PARTICLES_XMD), "particles", labels):
        ref = int(row[1])
        if ref > 0:
            found[int(row[0])] = Assignment(ref, *map(float, row[2:]))
    return found


def read_classes(folder):
    """The rows of the classes' table, in its order: [ClassRow, ...]."""
    labels = (CLASS_LABEL, IMAGE_LABEL, COUNT_LABEL, RESOLUTION_LABEL, QUALITY_LABEL)
    return [
        ClassRow(int(ref), int(image.partition("@")[0]), int(size), float(resolution), float(quality))
        for ref, image, size, resolution, quality in read_rows(os.path.join(folder, CLASSES_XMD), "classes", labels)
    ]


def read_summary(folder):
    """summary.json as a dict; empty while there is none."""
    try:
        with open(os.path.join(folder, SUMMARY_JSON), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return {}


def alignment_2d(assignment):
    """Scipion's transform of an Assignment: x' = A x + t, A = [[cos ψ, sin ψ], [−sin ψ, cos ψ]], shifts in pixels."""
    psi = np.deg2rad(assignment.psi)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(psi), np.sin(psi)], [-np.sin(psi), np.cos(psi)]]
    matrix[:2, 3] = assignment.shift_x, assignment.shift_y
    return Transform(matrix)


def fill_classes(classes, folder):
    """Fill an empty SetOfClasses2D, whose images are set, from the core's output folder; return its rows."""
    assignments = read_assignments(folder)
    rows = {row.ref: row for row in read_classes(folder)}
    stack = os.path.join(folder, CLASSES_STACK)

    def update_item(particle, _):
        assignment = assignments.get(particle.getObjId())
        particle._appendItem = assignment is not None
        if assignment is not None:
            particle.setClassId(assignment.ref)
            particle.setTransform(alignment_2d(assignment))
            particle._alignpca2d_score = Float(assignment.score)

    def update_class(item):
        row = rows[item.getObjId()]
        item.setAlignment2D()
        item.getRepresentative().setLocation(row.index, stack)
        item.getRepresentative().setSamplingRate(item.getSamplingRate())
        set_figures(item, row)

    classes.classifyItems(updateItemCallback=update_item, updateClassCallback=update_class, doClone=False)
    return list(rows.values())


def fill_averages(averages, folder):
    """Fill an empty SetOfAverages, whose sampling rate is set, with the averages of the classes, under their ids.

    A class that was given to start from and that no particle joined is left out, as it is of the SetOfClasses2D.
    """
    for row in (row for row in read_classes(folder) if row.size):
        average = Particle(objId=row.ref)
        average.setLocation(row.index, os.path.join(folder, CLASSES_STACK))
        average.setClassId(row.ref)
        average._alignpca2d_size = Integer(row.size)
        set_figures(average, row)
        averages.append(average)


def set_figures(item, row):
    """Extended attributes of a class or an average: resolution in Å and quality."""
    item._alignpca2d_resolution = Float(row.resolution)
    item._alignpca2d_quality = Float(row.quality)
