"""Scipion's environment variables for a Scipion that was installed with pip rather than by its own installer.

Only the standard library is imported, and nothing of the package: the variables must be in the environment before
pyworkflow is imported, so conftest.py loads this file by its path and the demo starts itself again with them.
"""

import os
import sys
from pathlib import Path

HOSTS = """[localhost]
PARALLEL_COMMAND = mpirun -np %_(JOB_NODES)d %_(COMMAND)s
"""


def scipion_variables(home):
    """The variables of a Scipion whose projects, tests and configuration lie in the folder `home`.

    Parameters
    ----------
    home : str or Path
        Made if it does not exist.

    Returns
    -------
    dict of str
        To be added to ``os.environ`` before pyworkflow is imported, or given to a child process.
    """
    home = Path(home).resolve()
    config = home / "config"
    config.mkdir(parents=True, exist_ok=True)
    hosts, settings = config / "hosts.conf", config / "scipion.conf"
    for path, text in ((hosts, HOSTS), (settings, "[PYWORKFLOW]\n")):
        if not path.exists():
            path.write_text(text)
    return {
        "SCIPION_DOMAIN": "pwem",
        "SCIPION_HOME": str(home),
        "SCIPION_HOSTS": str(hosts),
        "SCIPION_PYTHON": sys.executable,
        "SCIPION_USER_DATA": str(home / "data"),
        "SCIPION_CONFIG": str(settings),
        "SCIPION_LOCAL_CONFIG": str(settings),
        "SCIPION_NOTIFY": "False",
        "SCIPION_TEST_NOSYNC": "True",
        "SCIPION_STEPS_CHECK_SEC": "1",
        "VIRTUAL_ENV": sys.prefix,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    }
