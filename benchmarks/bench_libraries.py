"""Our own pieces against the libraries that do the same: what they cost and how exact they are.

Run from the root of the checkout: ``python benchmarks/bench_libraries.py``.  A library that is not installed is left
out; ``pip install torch-fourier-shift torch-fourier-shell-correlation tqdm plotly`` adds those that no extra has.
CPU seconds of one thread, in this process; libraries and ours work on the same images.
"""

from __future__ import annotations

import importlib.util
import io
import math
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from torch import Tensor

from alignpca2d_core.averaging.class_averages import from_work_images
from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.fourier.ctf import CtfParameters, contrast_transfer
from alignpca2d_core.fourier.ring_correlation import fourier_ring_correlation
from alignpca2d_core.fourier.rotation import turned_images
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack

ROOT = Path(__file__).resolve().parents[1]
BOX, PIXEL, RESOLUTION = 128, 1.77, 8.0
ANGLE_DEG = 33.0


def cpu_s(work: Callable[[], object], times: int = 7) -> float:
    """The least CPU seconds of a few runs, after one that warms up."""
    work()
    found = []
    for _ in range(times):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return min(found)


def blobs(angle: float = 0.0) -> Tensor:
    """An image (BOX, BOX) of Gaussians about pixel BOX // 2, turned by ``angle`` radians: exact at any angle."""
    generator = torch.Generator().manual_seed(0)
    place = (torch.rand(12, 2, generator=generator, dtype=torch.float64) - 0.5) * 50
    width = 2 + 2 * torch.rand(12, generator=generator, dtype=torch.float64)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    axis = torch.arange(BOX, dtype=torch.float64) - BOX // 2
    distance = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[:, :, None] - place @ turn.T
    return torch.exp(-0.5 * distance.square().sum(-1) / width**2).sum(-1).float()


def band() -> Band:
    """What a run compares: 128 px, 1.77 Å/px, 8 Å."""
    return Band.make(BOX, BOX * PIXEL / RESOLUTION)


def sampled(image: Tensor, angle: float, mode: str) -> Tensor:
    """An image turned by PyTorch's ``grid_sample``."""
    axis = (torch.arange(BOX) - BOX // 2).float()
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    back = (math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x)
    grid = torch.stack(back, -1) + BOX // 2
    places = (2 * grid + 1) / BOX - 1
    return torch.nn.functional.grid_sample(image[None, None], places[None], mode=mode, align_corners=False)[0, 0]


def rotation() -> Iterator[str]:
    """Error of one rotation of a band-limited image, as a share of the image."""
    angle, one = math.radians(ANGLE_DEG), band()
    truth = one.to_vectors(blobs(angle)[None])
    start = one.to_images(one.to_vectors(blobs()[None]))[0]

    def error(vectors: Tensor) -> float:
        return float((vectors - truth).norm() / truth.norm())

    for mode in ("bilinear", "bicubic"):
        yield f"grid_sample, {mode}: error {100 * error(one.to_vectors(sampled(start, angle, mode)[None])):.3f} %"
    vectors = one.to_vectors(start[None])
    yield f"Band.rotate_all: error {100 * error(one.rotate_all(vectors, torch.tensor([angle]))[:, 0]):.3f} %"
    turned = from_work_images(one, turned_images(one, vectors, torch.tensor([angle])))
    yield f"turned_images: error {100 * error(turned):.3f} %"


def ctf(count: int = 200) -> Iterator[str]:
    """CTFs of particles that each have their own defocus."""
    import torch_ctf

    one, generator = band(), torch.Generator().manual_seed(0)
    defocus = (0.6 + 1.4 * torch.rand(count, generator=generator)).double()
    same = torch.ones(count).double().numpy()
    parameters = CtfParameters(
        1e4 * defocus.numpy(), 1e4 * defocus.numpy(), 0 * same, 300 * same, 2.7 * same, 0.1 * same, 0 * same
    )
    frequency = 1 / (BOX * PIXEL)
    ours = cpu_s(lambda: contrast_transfer(parameters, one.kx * frequency, one.ky * frequency))
    optics = {"voltage": 300.0, "spherical_aberration": 2.7, "amplitude_contrast": 0.1, "phase_shift": 0.0}
    image = {"pixel_size": PIXEL, "image_shape": (BOX, BOX), "rfft": True, "fftshift": False}
    each = {"defocus": defocus.float(), "astigmatism": 0.0, "astigmatism_angle": 0.0}
    theirs = cpu_s(lambda: torch_ctf.calculate_ctf_2d(**each, **optics, **image))
    yield f"torch-ctf takes {theirs / ours:.0f} times as long as contrast_transfer on the band ({count} x {BOX} px)"


def shift(count: int = 200) -> Iterator[str]:
    """Transforms, or vectors of a band, moved by a shift each."""
    from torch_fourier_shift import fourier_shift_dft_2d, fourier_shift_image_2d

    one, generator = band(), torch.Generator().manual_seed(0)
    images, by = torch.randn(count, BOX, BOX, generator=generator), torch.randn(count, 2, generator=generator)
    vectors = one.to_vectors(images)
    ours = cpu_s(lambda: vectors * one.shift_ramps(by[:, 0], by[:, 1]))
    transforms = torch.fft.rfft2(images)
    theirs = cpu_s(lambda: fourier_shift_dft_2d(transforms, (BOX, BOX), by.flip(1), rfft=True, fftshifted=False))
    moved = one.to_vectors(fourier_shift_image_2d(images, by.flip(1)))
    apart = float((moved - vectors * one.shift_ramps(by[:, 0], by[:, 1])).norm() / moved.norm())
    yield f"torch-fourier-shift takes {theirs / ours:.0f} times as long as shift_ramps; they differ by {apart:.0e}"


def ring_correlation(pairs: int = 50) -> Iterator[str]:
    """FRC of pairs of averages."""
    import torch_fourier_shell_correlation as library

    one, generator = band(), torch.Generator().manual_seed(0)
    first, second = torch.randn(2, pairs, BOX, BOX, generator=generator)
    a, b = one.to_vectors(first), one.to_vectors(second)
    ours = cpu_s(lambda: fourier_ring_correlation(a, b, one))
    theirs = cpu_s(lambda: library.fourier_ring_correlation(first, second))
    yield f"torch-fourier-shell-correlation takes {theirs / ours:.0f} times as long as fourier_ring_correlation"


def star() -> Iterator[str]:
    """What becomes of a row that lacks values; ``bench_metadata.py`` has the times."""
    import starfile

    head = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n_rlnDefocusV #3\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "short.star"
        path.write_text(head + "1@a.mrcs 9000.0 9100.0\n2@a.mrcs\n3@a.mrcs 9200.0 9300.0\n", encoding="utf-8")
        try:
            yield f"starfile, a row without two of its values: {starfile.read(path).iloc[1].tolist()}"
        except Exception as error:
            yield f"starfile, a row without two of its values: {type(error).__name__}"
        try:
            read_particles(path)
        except InputError as error:
            yield f"ours: {str(error).replace(folder, '')}"


SHORTER = """
import os, sys, mrcfile
with mrcfile.mmap(sys.argv[1]) as stack:
    os.truncate(sys.argv[1], 2048)
    print(stack.data[-1].mean())
"""


def mrc() -> Iterator[str]:
    """What becomes of a stack that shrinks while it is read, and of a stack of one image."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stack.mrcs"
        with mrcfile.new(path, np.zeros((1, 64, 64), np.float32)) as file:
            file.set_image_stack()
        with mrcfile.open(path) as file:
            yield f"mrcfile, a stack of one image: data of shape {file.data.shape}"
        write_stack(path, np.ones((100, 64, 64), np.float32), PIXEL)
        with StackReader(read_particles(path)) as reader:
            command = [sys.executable, "-c", SHORTER, str(path)]
            code = subprocess.run(command, capture_output=True, check=False).returncode
            ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            yield f"mrcfile.mmap, a stack that shrinks: {ended}"
            try:
                reader.read(np.array([99]))
            except InputError as error:
                yield f"ours: {str(error).replace(folder, '')}"


def progress() -> Iterator[str]:
    """Frames that a bar of 4 s leaves in a log that is no terminal."""
    from tqdm import tqdm

    log = io.StringIO()
    for _ in tqdm(range(200), file=log):
        time.sleep(0.02)
    yield f"tqdm writes {log.getvalue().count(chr(13))} frames into a log of 4 s, on one line"


def report() -> Iterator[str]:
    """What a page must carry that is read offline."""
    from importlib.resources import files

    theirs = len(files("plotly").joinpath("package_data/plotly.min.js").read_bytes())
    ours = sum(len(path.read_bytes()) for path in sorted((ROOT / "alignpca2d_core" / "report" / "page").iterdir()))
    yield f"plotly.js adds {theirs / 1e6:.1f} MB to a page; ours has {ours / 1e6:.2f} MB of style and script"


PARTS: dict[Callable[[], Iterator[str]], str | None] = {
    rotation: None,
    ctf: "torch_ctf",
    shift: "torch_fourier_shift",
    ring_correlation: "torch_fourier_shell_correlation",
    star: "starfile",
    mrc: None,
    progress: "tqdm",
    report: "plotly",
}
"""What each part needs besides the core."""


def main() -> None:
    """Print a line for each figure."""
    torch.set_num_threads(1)
    for part, library in PARTS.items():
        print(f"{part.__name__.replace('_', ' ')}: {(part.__doc__ or '').splitlines()[0]}")
        if library is None or importlib.util.find_spec(library):
            for line in part():
                print(f"  {line}")
        else:
            print(f"  {library} is not installed", file=sys.stderr)


@pytest.mark.benchmark
def test_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    """The same under ``make bench-all``."""
    with capsys.disabled():
        main()


if __name__ == "__main__":
    main()
