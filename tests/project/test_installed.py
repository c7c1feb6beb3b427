"""The distribution as pip installs it, from a wheel and for developers, in environments that have nothing else of ours.

The environments borrow what is installed where the tests run, so that they take seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
from checkout import copy_tracked_files

DISTRIBUTION = "scipion-em-alignpca2d"
PARTICLES, CLASSES = 240, 4


def run(command: list[object], folder: Path) -> str:
    """Standard output of a command that knows nothing of the clone that is tested."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "ALIGNPCA2D_PYTHON")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Installation:
    """An environment with the distribution in it, and nothing else but what it borrows."""

    def __init__(self, folder: Path, *what: object) -> None:
        self.folder = folder
        self.bin = folder / "environment" / "bin"
        venv.create(folder / "environment", symlinks=True)
        self.packages = next((folder / "environment").glob("lib/python3*/site-packages"))
        borrowed = [path for path in sys.path if path.endswith("site-packages")]
        (self.packages / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
        options = ["install", "-q", "--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall"]
        run([sys.executable, "-m", "pip", "--python", self.bin / "python", *options, *what], folder)

    def python(self, code: str) -> list[str]:
        """The lines that a piece of code prints there."""
        return run([self.bin / "python", "-c", code], self.folder).splitlines()


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks, in a folder of the name that Scipion wants."""
    pytest.importorskip("setuptools", minversion="70.1")  # which brings bdist_wheel
    return copy_tracked_files(repository, tmp_path_factory.mktemp("clone") / DISTRIBUTION)


@pytest.fixture(scope="module")
def from_wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Installed from a wheel, which was built from a source distribution."""
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"], clone)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    source = next(path for path in folder.iterdir() if path.is_dir())
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder]
    run([sys.executable, "-m", "pip", "wheel", "-q", *options, source], folder)
    shutil.rmtree(source)
    return Installation(folder, next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def for_developers(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Installed with pip's ``-e``, as Scipion's ``--devel`` does."""
    return Installation(tmp_path_factory.mktemp("devel"), "-e", clone)


@pytest.fixture(params=["from_wheel", "for_developers"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Either of them."""
    return request.getfixturevalue(request.param)


def test_the_program_runs_from_a_wheel(from_wheel: Installation) -> None:
    where = from_wheel.python("import alignpca2d_core; print(alignpca2d_core.__file__)")[0]
    assert Path(where).is_relative_to(from_wheel.packages)
    program = from_wheel.bin / "alignpca2d"
    assert "classify" in run([program, "--help"], from_wheel.folder)
    assert "classify" in run([from_wheel.bin / "python", "-m", "alignpca2d_core", "--help"], from_wheel.folder)
    sizes = ["--particles", PARTICLES, "--views", CLASSES, "--box", 32, "--sampling-rate", 7, "--snr", 0.2]
    run([program, "simulate", "-o", "particles", *sizes, "--quiet"], from_wheel.folder)
    options = ["--classes", CLASSES, "--resolution", 20, "--threads", 1, "--device", "cpu", "--quiet"]
    run([program, "classify", "particles/particles.xmd", "-o", "classes", *options], from_wheel.folder)
    report = (from_wheel.folder / "classes" / "report.html").read_text(encoding="utf-8")
    assert "root.dataset.ready" in report  # the page's script, which is data of the package
    assert (from_wheel.folder / "classes" / "gallery.png").stat().st_size > 1000


def test_the_program_runs_for_developers(for_developers: Installation) -> None:
    assert "classify" in run([for_developers.bin / "alignpca2d", "--help"], for_developers.folder)


@pytest.mark.scipion
def test_scipions_installer_finds_the_plugin(installation: Installation) -> None:
    pytest.importorskip("scipion.install")
    found = installation.python(
        "from scipion.install.plugin_funcs import PluginInfo\n"
        f"plugin = PluginInfo(pipName={DISTRIBUTION!r}, name={DISTRIBUTION!r}, remote=False)\n"
        "print(plugin.getDirName(), plugin.pipVersion, *plugin.getBinVersions())"
    )
    version = installation.python("import alignpca2d_core; print(alignpca2d_core.__version__)")[0]
    assert found[-1] == f"alignpca2d_plugin {version} alignpca2d-{version}"


@pytest.mark.scipion
def test_scipion_finds_the_plugin_and_the_plugin_the_core(installation: Installation) -> None:
    """Nothing is set: plugin and core share an environment."""
    pytest.importorskip("pwem")
    found = installation.python(
        "from pwem import Domain\n"
        "from alignpca2d_plugin import Plugin, installation\n"
        "print(Domain.getPlugins()['alignpca2d_plugin'].__version__, 'ProtAlignPCA2D' in Domain.getProtocols())\n"
        "print(Plugin.getPython(), Plugin.validateInstallation())\n"
        "print(installation.core_source())"
    )
    version = installation.python("import alignpca2d_core; print(alignpca2d_core.__version__)")[0]
    core = installation.python("import alignpca2d_core; print(*alignpca2d_core.__path__)")[0]
    assert found[-3:] == [f"{version} True", f"{installation.bin / 'python'} []", core]
