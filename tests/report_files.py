"""Folders of results made up for the tests of the report, at any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from alignpca2d_core.commands.pictures import draw
from alignpca2d_core.fourier.rigid_transforms import Poses
from alignpca2d_core.io.particle_set import ParticleSet
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import Table
from alignpca2d_core.results.result_files import Classification, write_results

SAMPLING_RATE = 3.0
STORED_IMAGES = 200


def discs(count: int, box: int, seed: int = 0) -> np.ndarray:
    """(count, box, box) noisy images of two bright discs each, differently far apart."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:box, :box] - box // 2
    apart = np.linspace(0, box / 4, count)[:, None, None]
    spots = sum(np.exp(-((x - sign * apart) ** 2 + y**2) / (box / 10) ** 2) for sign in (-1, 1))
    return (spots + rng.normal(0, 0.2, (count, box, box))).astype(np.float32)


def particle_set(folder: Path, particles: int, box: int) -> ParticleSet:
    """Particles that share the images of one small stack."""
    folder.mkdir(parents=True, exist_ok=True)
    stored, stack = min(particles, STORED_IMAGES), folder / "particles.mrcs"
    write_stack(stack, discs(stored, box), SAMPLING_RATE)
    index = np.arange(particles) % stored
    names = np.array([f"{number + 1:06d}@{stack}" for number in range(stored)], dtype=object)[index]
    return ParticleSet(
        table=Table("particles", {"image": names}),
        stacks=(stack,),
        stack_of=np.zeros(particles, dtype=np.int32),
        index_in_stack=index.astype(np.int64),
        enabled=np.ones(particles, dtype=bool),
        ids=np.arange(1, particles + 1),
        source=folder / "particles.xmd",
    )


def classification(classes: int, particles: int, box: int, seed: int = 0) -> Classification:
    """Classes of falling size and resolution, poses and scores at random; the first particle is not used."""
    rng = np.random.default_rng(seed)
    weight = np.linspace(3, 1, classes)
    assignments = np.sort(rng.choice(classes, particles - 1, p=weight / weight.sum()))
    assignments = np.concatenate(([-1], rng.permutation(assignments)))
    sizes = np.bincount(assignments[1:], minlength=classes)
    rank = np.empty(classes, dtype=int)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(classes)
    assignments[1:] = rank[assignments[1:]]
    ring = np.arange(box // 2 + 1)
    cutoff = np.linspace(0.9, 0.3, classes)[:, None] * len(ring)
    frc = 1 / (1 + np.exp((ring - cutoff) / 2))
    return Classification(
        assignments=assignments,
        poses=Poses(rng.uniform(-180, 180, particles), *rng.normal(0, box / 20, (2, particles))),
        score=rng.normal(5, 1, particles).astype(np.float32),
        averages=discs(classes, box),
        sizes=np.sort(sizes)[::-1],
        resolution_angstrom=box * SAMPLING_RATE / cutoff[:, 0],
        quality=frc.mean(1),
        frc=frc,
    )


def results(
    folder: Path, classes: int = 12, particles: int = 600, box: int = 32, summary: dict[str, Any] | None = None
) -> Path:
    """A folder of results in ``folder/out``, with its particles beside it; returns the folder."""
    out = folder / "out"
    whole = {**run_of(classes), **(summary or {})}
    write_results(out, particle_set(folder, particles, box), classification(classes, particles, box), 3.0, whole, draw)
    return out


def run_of(classes: int) -> dict[str, Any]:
    """A summary with the history of a run and of a stream of five batches."""
    rounds = [
        {"round": turn + 1, "classes": classes - turn, "changed": None if turn == 0 else 0.6 / turn, "score": turn}
        for turn in range(8)
    ]
    batches = [
        {
            "batch": batch + 1,
            "particles": 120 * (batch + 1),
            "new": 120,
            "revisited": 60 * batch,
            "changed": 40 - 5 * batch,
            "classes": classes,
            "resolution": [20.0 - batch + 0.1 * k for k in range(classes)],
            "sizes": [10] * classes,
            "seconds": 1.5,
            "time": f"2026-11-22T16:0{batch}:00",
        }
        for batch in range(5)
    ]
    return {
        "program": {"alignpca2d": "0.0.0", "torch": "0"},
        "command": "alignpca2d classify particles.xmd -o out",
        "working_directory": "somewhere",
        "settings": {"classes": classes, "resolution": 8.0, "seed": 7, "mask_diameter": None},
        "device": "cpu",
        "input": {"file": "particles.xmd", "box": 32, "sampling_rate": SAMPLING_RATE, "ctf": "none"},
        "times": {"Stage 1": {"wall_s": 12.0, "cpu_s": 24.0}},
        "history": {"rounds": rounds, "batches": batches},
        "stream": {"batch": 5, "missing": 0, "closed": True},
        "warnings": ["a warning of the run"],
    }
