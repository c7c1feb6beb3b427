"""Packaging of AlignPCA-2D: the standalone core and the Scipion plugin.

Nothing is required by the bare package: Scipion installs the plugin into its own Python (3.8 or later), where
everything the plugin imports is there already, and the core lives in another environment, made with the extra `core`.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def read_version():
    text = (HERE / "alignpca2d_core" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE).group(1)


EXTRAS = {
    "core": [
        "torch>=2.13,<3",
        "numpy>=1.26,<3",
        "mrcfile>=1.4.3,<2",
        "pandas>=2.1.1,<4",
        "safetensors>=0.5,<1",
    ],
    "report": ["pillow>=10.1,<13"],
    "simulate": ["gemmi>=0.7,<1"],
    "scipion": [
        "scipion-pyworkflow>=3.11.7,<4",
        "scipion-em>=3.11.1,<4",
        "scipion-em-xmipp>=29.0.1,<30",
        "scipion-app>=3.8.3,<4",
        "pyxmipp3>=0.4,<1",
    ],
    "test": [
        "pytest>=8.2,<10",
        "pytest-cov>=5,<8",
        "pytest-randomly>=3.16,<6",
        "pytest-xdist>=3.6,<4",
        "hypothesis>=6.100,<7",
        "starfile>=0.5.10,<1",
        "torch-ctf>=0.6,<1; python_version >= '3.11'",
        "playwright>=1.50,<2",
        "ruff>=0.17,<0.18",
        "mypy>=2.4,<3",
        "codespell>=2.3,<3",
    ],
    "docs": ["sphinx>=8.1,<10", "furo>=2024.8.6,<2027"],
}

setup(
    name="scipion-em-alignpca2d",
    version=read_version(),
    description="2D classification of cryo-EM particles in a PCA of Fourier space, as a program and a Scipion plugin",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="GPL-3.0-or-later",
    keywords="cryo-em single-particle 2d-classification scipion imageprocessing scipion-3.0",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Bio-Informatics",
    ],
    packages=find_packages(include=["alignpca2d_core*", "alignpca2d_plugin*"]),
    include_package_data=False,
    package_data={
        "alignpca2d_core": ["py.typed", "report/page/*"],
        "alignpca2d_plugin": ["*.conf", "*.png", "*.svg", "templates/*", "tests/data/**", "tests/fakes/**/*.py"],
    },
    python_requires=">=3.8",
    install_requires=[],
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["alignpca2d = alignpca2d_core.__main__:main"],
        "pyworkflow.plugin": ["alignpca2d_plugin = alignpca2d_plugin"],
    },
    zip_safe=False,
)
