"""What the core says, in the words of the form in place of the command line's options."""

import re

PARAMETERS = {
    "batch-size": "batchSize",
    "classes": "numberOfClasses",
    "ctf": "correctCtf",
    "device": "useGpu",
    "good-particles": "goodCount",
    "good-resolution": "goodResolution",
    "good-score": "goodScore",
    "initial-particles": "initialParticles",
    "invert": "invertContrast",
    "iterations": "iterations",
    "low-resolution": "lowResolution",
    "mask-diameter": "maskDiameter",
    "no-align": "keepAlignment",
    "preset": "preset",
    "psi-range": "psiRange",
    "references": "initialClasses",
    "resolution": "resolution",
    "revisit": "revisit",
    "rounds": "rounds",
    "seed": "seed",
    "threads": "binThreads",
    "tube-diameter": "tubeDiameter",
    "variance": "variance",
}
"""The parameter of the form that an option of the core stands for."""

OTHERS = {
    "last": "the end of the input",
    "low-resolution": "limit of low resolution",
    "no-align": "kept alignment of the particles",
    "no-sieve": "classification of all images alike",
    "output": "folder",
    "passthrough": "pass-through file",
    "psi-range": "range of in-plane angles",
    "phase-flipped": "flipped phases of the particles",
    "resume": "Continue",
    "rounds": "further rounds",
    "sampling-rate": "sampling rate of the particles",
    "title": "title of the report",
    "tube-diameter": "diameter of the tube",
}
"""Options that the protocol gives without asking."""

_OPTION = re.compile(r"(\bwithout )?(?<![\w-])--([a-z]+(?:-[a-z]+)*)\b(?!_)")
_REMARK = re.compile(r"[?]$| \([^()]*\)$")
"""What stands behind the name in a label: a unit, the meaning of -1."""
_PROGRAM = re.compile(r"^alignpca2d( rank \d+)?: (error: )?")


def in_terms_of_the_form(text, protocol):
    """A line of the core's with the labels of the form in place of options.

    Parameters
    ----------
    text : str
    protocol : ProtAlignPCA2D
    """

    def label(found):
        without, option = found.group(1) or "", found.group(2)
        if option == "resume" and without:
            return "with Restart instead of Continue"
        name = getattr(protocol, "OPTIONS", {}).get(option, PARAMETERS.get(option))
        parameter = protocol.getParam(name) if name else None
        if parameter is not None:
            return '%s"%s"' % (without, _REMARK.sub("", parameter.label.get()))
        return without + OTHERS.get(option, option.replace("-", " ") if name else found.group(0)[len(without) :])

    return _OPTION.sub(label, _PROGRAM.sub("", text))
