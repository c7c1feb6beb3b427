"""What is made of chosen classes: subsets, as Scipion's own viewer makes them, and a protocol that divides them."""

import os
import time

from pwem import Domain

KINDS = {"Classes": "SetOfClasses2D", "Particles": "SetOfParticles", "Averages": "SetOfAverages"}
"""What a subset can be of."""


def new_subset(project, protocol, kind, numbers):
    """A ProtUserSubSet, not launched, of the chosen classes of a protocol.

    Parameters
    ----------
    project : Project
        Its folder is the working directory.
    protocol : ProtAlignPCA2D
        With classes.
    kind : str
        One of `KINDS`.
    numbers : iterable of int
        Of the classes.
    """
    chosen = sorted(numbers)
    path = _write_selection(chosen)
    noun = "class" if len(chosen) == 1 else "classes"
    subset = project.newProtocol(
        Domain.getProtocols()["ProtUserSubSet"],
        sqliteFile=f"{path},",
        outputClassName=KINDS[kind],
    )
    # Project.newProtocol does not keep a label that it is given.
    subset.setObjLabel(f"{kind.lower()} of {len(chosen)} {noun}")
    subset.inputObject.set(protocol)
    subset.inputObject.setExtended("outputClasses")
    return subset


def new_subdivision(project, protocol, numbers):
    """A protocol, not launched, that classifies the particles of the chosen classes again.

    Parameters
    ----------
    project : Project
    protocol : ProtAlignPCA2D
        With classes.
    numbers : iterable of int
        Of the classes.
    """
    chosen = sorted(numbers)
    division = project.newProtocol(Domain.getProtocols()["ProtAlignPCA2DSubdivide"], chosen=",".join(map(str, chosen)))
    noun = "class" if len(chosen) == 1 else "classes"
    division.setObjLabel(f"subdivide {len(chosen)} {noun}")
    division.inputClasses.set(protocol)
    division.inputClasses.setExtended("outputClasses")
    return division


def _write_selection(numbers):
    """A file in the project's logs, where the metadata viewer writes such ones: a line of ids."""
    stem = os.path.join("Logs", time.strftime("selection_%Y%m%d%H%M%S"))
    path, again = f"{stem}.txt", 0
    while os.path.exists(path):
        again += 1
        path = f"{stem}_{again}.txt"
    with open(path, "w", encoding="ascii") as stream:
        stream.write(" ".join(map(str, numbers)) + "\n")
    return path
