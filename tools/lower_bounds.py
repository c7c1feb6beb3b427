"""Print the lower bounds of some extras of setup.py as a constraints file for pip.

Usage: python lower_bounds.py core report ...
"""

import ast
import re
import sys
from pathlib import Path

SETUP = Path(__file__).resolve().parents[1] / "setup.py"


def read_extras():
    """The requirements of each extra, which setup.py spells out as a literal."""
    for node in ast.parse(SETUP.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXTRAS":
            return ast.literal_eval(node.value)
    raise SystemExit(f"{SETUP}: there is no EXTRAS")


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
