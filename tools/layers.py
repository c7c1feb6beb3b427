"""Prints the layers of the core from the ground up, and what each imports: ``python tools/layers.py``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "project"))

from test_boundaries import LAYERS, imported_layers  # noqa: E402


def main() -> None:
    """One line a layer: its name, the number of its modules, the layers below it that it imports."""
    core = ROOT / "alignpca2d_core"
    for layer in LAYERS:
        single = core / f"{layer}.py"
        modules = [single] if single.is_file() else sorted((core / layer).rglob("*.py"))
        below = {found for module in modules for found in imported_layers(module, core)} & set(LAYERS) - {layer}
        print(f"{layer:17}{len(modules):4}  {' '.join(sorted(below, key=LAYERS.index)) or '-'}")


if __name__ == "__main__":
    main()
