"""AlignPCA-2D in Scipion: 2D classification of particles in a PCA of Fourier space.

The program itself, ``alignpca2d_core``, lives in an environment of its own, which ``scipion3 installp`` makes; the
plugin talks to it by a command line and files, so that neither imports the other.
"""

import os
import subprocess

import pwem
import pyworkflow as pw
import pyworkflow.utils as pwutils
from pyworkflow import VarTypes
from pyworkflow.constants import SPA

from . import installation
from .constants import ALIGNPCA2D_PYTHON, ALIGNPCA2D_TORCH, CORE_MODULE, PACKAGE, V0_2_0

__version__ = V0_2_0
_logo = "icon.png"


class Plugin(pwem.Plugin):
    _supportedVersions = [V0_2_0]
    # The paper, until the plugin has a home of its own.
    _url = "https://journals.iucr.org/d/issues/2026/07/00/vo5022/index.html"
    _processingField = [SPA]
    _coresThatWork = set()

    @classmethod
    def _defineVariables(cls):
        cls._defineVar(
            ALIGNPCA2D_PYTHON,
            installation.find_python(cls._environmentFolder()),
            description="Python of the environment that has the program alignpca2d_core and torch. By default the one "
            "that 'scipion3 installp' makes, or Scipion's own where that has all that the program needs.",
            var_type=VarTypes.PATH,
        )
        cls._defineVar(
            ALIGNPCA2D_TORCH,
            "",
            description="What pip is asked for when the program's environment is made. By default "
            "torch==2.13.0; put --index-url and the index of PyTorch's CPU builds before it where there is no GPU.",
            var_type=VarTypes.STRING,
        )

    @classmethod
    def _environmentFolder(cls):
        return os.path.join(pwem.Config.EM_ROOT, "%s-%s" % (PACKAGE, V0_2_0), "env")

    @classmethod
    def getActiveVersion(cls, *args, **kwargs):
        return V0_2_0

    @classmethod
    def getEnviron(cls):
        """The environment of the core: Scipion's own Python packages must not leak into it."""
        environ = pwutils.Environ(os.environ)
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            environ.pop(name, None)
        environ["PYTHONUNBUFFERED"] = "1"
        return environ

    @classmethod
    def getPython(cls):
        """The core's interpreter."""
        return os.path.expanduser(cls.getVar(ALIGNPCA2D_PYTHON))

    @classmethod
    def validateInstallation(cls):
        """What stands in the way of running the core, in the user's words; an empty list if nothing does."""
        python = cls.getPython()
        if python in cls._coresThatWork:
            return []
        problem = "there is no such program" if not os.access(python, os.X_OK) else cls._missingModules(python)
        if not problem:
            cls._coresThatWork.add(python)
            return []
        return [
            "The program of AlignPCA-2D cannot be run: %s = %s (%s)." % (ALIGNPCA2D_PYTHON, python, problem),
            "Install it with *scipion3 installb %s*, or set %s in *%s* to the python of an environment that has it."
            % (PACKAGE, ALIGNPCA2D_PYTHON, pw.Config.SCIPION_CONFIG),
        ]

    @classmethod
    def _missingModules(cls, python):
        modules = (CORE_MODULE, "torch", "mrcfile")
        question = "import importlib.util as u; print(*[m for m in %r if u.find_spec(m) is None])" % (modules,)
        try:
            answer = subprocess.run(
                [python, "-c", question],
                env=cls.getEnviron(),
                capture_output=True,
                text=True,
                timeout=60,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        if answer.returncode:
            return (answer.stderr.strip().splitlines() or ["exit code %d" % answer.returncode])[-1]
        missing = answer.stdout.split()
        return "it has no module %s" % ", ".join(missing) if missing else ""

    @classmethod
    def defineBinaries(cls, env):
        """Build the core's environment in ``software/em``, as ``scipion3 installp`` or ``installb`` ask for it."""
        env.addPackage(
            PACKAGE,
            version=V0_2_0,
            tar="void.tgz",
            commands=installation.commands(cls.getCondaActivationCmd(), cls.getVar(ALIGNPCA2D_TORCH)),
            neededProgs=[],
            default=True,
        )
