"""Print the lower bounds of some extras of pyproject.toml as a constraints file for pip.

Usage: python lower_bounds.py core report ...
"""

import re
import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # before Python 3.11, whose pip brings one
    from pip._vendor import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def read_extras():
    """The requirements of each extra."""
    return tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def lowest(requirement):
    """``"numpy>=1.26,<3; marker"`` as ``"numpy==1.26; marker"``."""
    what, semicolon, marker = requirement.partition(";")
    found = re.fullmatch(r"([\w-]+)>=([\w.]+),<[\w.]+", what.strip())
    if found is None:
        raise SystemExit(f"{requirement}: is not bounded as NAME>=LOW,<HIGH")
    return f"{found[1]}=={found[2]}{semicolon}{marker}"


if __name__ == "__main__":
    for extra in sys.argv[1:]:
        for line in read_extras()[extra]:
            print(lowest(line))
