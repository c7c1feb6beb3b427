"""How the core's own environment is built: the shell commands that Scipion's installer runs in ``software/em``.

The core's source comes with the plugin, so it is linked into the environment and both always have one version.
What the core needs is read from the metadata of the installed distribution (the extras of ``pyproject.toml``).
"""

import os
import shlex
import shutil
import subprocess
import sys
from importlib import metadata

from packaging.requirements import Requirement

from .constants import CORE_MODULE, DISTRIBUTION

ENVIRONMENT = "env"
CORE_EXTRAS = ("core", "report")
PYTHONS = ("3.12", "3.11", "3.13", "3.10")
TORCH = "torch==2.13.0"
"""By this exact pin: a bare name takes whatever build is newest."""
OLDEST_PYTHON = (3, 10)
"""The core's; the plugin's is 3.8."""
DONE = "core-installed"


def core_python(folder):
    """The interpreter of the environment in `folder`."""
    return os.path.join(folder, "bin", "python")


def find_python(folder):
    """The interpreter of the environment in `folder`; this very one where only it can run the core."""
    python = core_python(folder)
    return sys.executable if not os.path.exists(python) and can_run_core() else python


def can_run_core():
    """Whether this interpreter has all that the core needs.  Nothing is imported for that."""
    try:
        return sys.version_info[:2] >= OLDEST_PYTHON and all(_is_installed(Requirement(r)) for r in requirements())
    except metadata.PackageNotFoundError:  # the plugin itself is only on Python's path
        return False


def commands(conda_activation="", torch=""):
    """The commands, each with the files that show that it succeeded, as ``env.addPackage`` wants them."""
    python = core_python(ENVIRONMENT)
    pip = "env -u PYTHONPATH -u PYTHONHOME %s -m pip install" % python
    packages = "%s/lib/python3*/site-packages/" % ENVIRONMENT
    torch = _quoted(shlex.split(torch or TORCH))
    others = _quoted(r for r in requirements() if not r.startswith("torch"))
    return [
        (_create_environment(conda_activation), python),
        ("%s %s" % (pip, torch), packages + "torch"),
        ("%s %s" % (pip, others), packages + "mrcfile"),
        (_link_core(python), DONE),
    ]


def requirements():
    """What the core needs, without markers: ``["torch<3,>=2.13", "numpy<3,>=1.26", ...]``."""
    found = []
    for requirement in metadata.requires(DISTRIBUTION) or []:
        what, _, marker = requirement.partition(";")
        if any("extra == %r" % extra in marker.replace('"', "'") for extra in CORE_EXTRAS):
            found.append(what.strip().replace(" ", ""))
    return found


def core_source():
    """The folder of the core that came with the plugin: beside it in a clone, and in it when it came as a wheel."""
    plugin = os.path.dirname(os.path.realpath(__file__))
    beside = os.path.join(os.path.dirname(plugin), CORE_MODULE)
    return beside if os.path.isdir(beside) else os.path.join(plugin, "program", CORE_MODULE)


def _quoted(words):
    """Words for the shell, which makes redirections of ``torch>=2.13,<3``."""
    return " ".join(map(shlex.quote, words))


def _is_installed(requirement):
    try:
        return requirement.specifier.contains(metadata.version(requirement.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return False


def _create_environment(conda_activation):
    if conda_activation or shutil.which("conda"):
        return "%s conda create -y -p ./%s python=%s pip" % (conda_activation, ENVIRONMENT, PYTHONS[0])
    python = _find_python()
    if python:
        return "env -u PYTHONPATH -u PYTHONHOME %s -m venv %s" % (shlex.quote(python), ENVIRONMENT)
    return "echo 'AlignPCA-2D needs conda or a Python between 3.10 and 3.13 with its venv module: install one.'; false"


def _find_python():
    """An interpreter that the core supports and that can make environments, or None."""
    test = "import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))"
    for name in (sys.executable, *tuple("python" + version for version in PYTHONS), "python3"):
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", test], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            return path
    return None


def _link_core(python):
    site = f'"$({python} -c \'import sysconfig; print(sysconfig.get_path("purelib"))\')"'
    link = f"ln -sfn {shlex.quote(core_source())} {site}/{CORE_MODULE}"
    check = f"env -u PYTHONPATH {python} -c 'import torch' && env -u PYTHONPATH {python} -m {CORE_MODULE} --help"
    return f"{link} && {check} > {os.devnull} && touch {DONE}"
