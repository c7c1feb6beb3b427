"""Workflows with Xmipp's alignPCA-2D, for this plugin.

``python -m alignpca2d_plugin.workflows.import_xmipp THEIRS.json OURS.json``

THEIRS is what *Export* in a Scipion project writes.  Each protocol of Xmipp of that name becomes one of ours;
all others stay as they are, and so do the links between them, for both protocols have the same output.

What is known of Xmipp's protocol is what Scipion's documentation says: its class, its two modes and what its
parameters mean, not how they are called in files.  So a parameter is recognised by the words of its name and by the
kind of its value.  What is taken over under another name, and what is not and has then our default, is told.
"""

import argparse
import json
import os
import re
import sys

THEIRS = "XmippProtClassifyPcaStreaming"
OURS = "ProtAlignPCA2D"
KEPT = ("runName", "runMode", "useGpu", "gpuList", "hostName")
"""Scipion's own parameters, which mean the same everywhere; so do those that begin with _ and with ``object.``."""


class WorkflowError(Exception):
    """The workflow cannot be taken over; the message says why."""


def is_link(value):
    """Whether a value is an output of another protocol, as in ``2.outputParticles``."""
    return isinstance(value, str) and re.match(r"\d+\.", value) is not None


def is_number(value):
    """Whether a value is a number, or one that another protocol finds."""
    return is_link(value) or (isinstance(value, (int, float)) and not isinstance(value, bool))


def is_switch(value):
    return isinstance(value, bool)


RULES = (
    ("inputParticles", is_link, r"input\w*(particle|image)"),
    ("mode", is_number, r"mode$"),
    ("numberOfClasses", is_number, r"(number|num|n)(of)?class"),
    ("initialClasses", is_link, r"(class|average|ref)"),
    ("correctCtf", is_switch, r"ctf"),
    ("resolution", is_number, r"resol"),
    ("variance", is_number, r"variance"),
    ("initialParticles", is_number, r"(initial|classification|batch)\w*"),
)
"""A parameter of ours, the kind of its value, and what the name of Xmipp's has in it.  The first that fits counts."""

REASONS = (
    (r"mask|sigma", "the mask here is a circle: give its diameter in Å"),
    (r"train", "the PCA here is learned from as many particles as it needs"),
    (r"mpi|thread", "threads are counted otherwise here"),
)
"""Why parameters are left out, by what their name has in it."""


def converted(protocol):
    """One protocol of Xmipp's as one of ours.

    Parameters
    ----------
    protocol : dict
        Its entry in the workflow.

    Returns
    -------
    dict
        The entry of ours.
    list of str
        What was taken over under another name, and what was not, with the reason.
    """
    ours, told = {}, []
    for name, value in protocol.items():
        target = name if is_scipions(name) else target_of(name, value)
        if target is None or target in ours:
            told += [] if value is None else [f"{name} = {value}: not taken over, {reason_of(name)}"]
            continue
        ours[target] = share_of_one(value) if target == "variance" else value
        if target != name:
            told.append(f"{name} = {value}: now {target} = {ours[target]}")
    ours["object.className"] = OURS
    return ours, told


def is_scipions(name):
    """Whether a parameter is one that every protocol has."""
    return name in KEPT or name.startswith(("object.", "_"))


def target_of(name, value):
    """Which parameter of ours has the meaning of one of Xmipp's; None if none is known to."""
    for target, is_kind, words in RULES:
        if is_kind(value) and (name == target or re.search(words, name.lower())):
            return target
    return None


def reason_of(name):
    """Why a parameter is not taken over."""
    return next((reason for words, reason in REASONS if re.search(words, name.lower())), "no such parameter here")


def share_of_one(value):
    """A variance that may be given in per cent."""
    return value / 100 if not is_link(value) and value > 1 else value


def import_workflow(source, target):
    """Write a workflow with our protocol in place of Xmipp's.

    Parameters
    ----------
    source, target : str
        Files of JSON; the second is replaced.

    Returns
    -------
    list of str
        A line for each protocol, and below it what :func:`converted` tells.

    Raises
    ------
    WorkflowError
        When the file cannot be read, is no workflow, or has no such protocol.
    """
    protocols, lines = read_workflow(source), []
    for place, protocol in enumerate(protocols):
        if protocol.get("object.className") == THEIRS:
            protocols[place], told = converted(protocol)
            lines.append(f"{protocol.get('object.label') or THEIRS} ({protocol.get('object.id')}): now {OURS}")
            lines += [f"  {line}" for line in told]
    if not lines:
        raise WorkflowError(f"{source}: has no protocol of the class {THEIRS}")
    temporary = f"{target}.part"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(protocols, file, indent=4)
    os.replace(temporary, target)
    return lines


def read_workflow(path):
    """The protocols of a workflow."""
    try:
        with open(path, encoding="utf-8") as file:
            protocols = json.load(file)
    except OSError as error:
        raise WorkflowError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise WorkflowError(f"{path}: is no workflow that Scipion has exported: {error}") from error
    if not isinstance(protocols, list) or not all(isinstance(one, dict) for one in protocols):
        raise WorkflowError(f"{path}: is no workflow that Scipion has exported: a list of protocols is expected")
    return protocols


def main(arguments=None):
    """Run the program; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m alignpca2d_plugin.workflows.import_xmipp", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("theirs", help="workflow with Xmipp's protocol, as Scipion exports it (.json)")
    parser.add_argument("ours", help="workflow to write, for Scipion to import")
    options = parser.parse_args(arguments)
    try:
        print(*import_workflow(options.theirs, options.ours), sep="\n")
    except (WorkflowError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
