"""What pyproject.toml cannot say: how one distribution of two packages is laid out so that Scipion finds the plugin.

Scipion takes for the plugin the folder of the first ``__init__.py`` among the installed files, which pip sorts, and for
an editable installation the first line of ``top_level.txt`` (scipion-app, ``PluginInfo.getDirName``).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

HERE = Path(__file__).resolve().parent
PLUGIN, CORE = "alignpca2d_plugin", "alignpca2d_core"
CORE_FOLDER = f"{PLUGIN}/program"


class BuildPlugin(build_py):
    """Build the core into a folder of the plugin, which a ``.pth`` file adds to Python's path."""

    def run(self):
        built = Path(self.build_lib)
        if self.editable_mode or built.resolve() == HERE:
            super().run()
            return
        for package in (PLUGIN, CORE):  # modules that are gone would stay in the next wheel
            shutil.rmtree(built / package, ignore_errors=True)
        super().run()
        (built / CORE_FOLDER).mkdir()
        (built / CORE).rename(built / CORE_FOLDER / CORE)
        (built / f"{CORE}.pth").write_text(f"{CORE_FOLDER}\n", encoding="utf-8")


class NamePluginFirst(egg_info):
    """Write ``top_level.txt`` with the plugin before the core."""

    def run(self):
        super().run()
        Path(self.egg_info, "top_level.txt").write_text(f"{PLUGIN}\n{CORE}\n", encoding="utf-8")


setup(
    license="GPL-3.0-or-later",  # as a string in [project] only setuptools for Python 3.9 and later would take it
    cmdclass={"build_py": BuildPlugin, "egg_info": NamePluginFirst},
)
