"""Whether the input is noticed to have changed, and not noticed where it has not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particle_files import CTF, ParticleFiles, two_views, write_metadata

from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.preprocessing.input_fingerprint import MOST_IMAGES, imprint, stack_samples

COUNT = 2 * MOST_IMAGES
QUICK = ("--classes", "2", "--resolution", "12", "--threads", "1", "--quiet")


@pytest.fixture
def files(tmp_path: Path) -> ParticleFiles:
    files = ParticleFiles(tmp_path / "input")
    files.write(two_views(COUNT))
    return files


def taken(files: ParticleFiles, count: int | None = None) -> dict[str, str]:
    particles = read_particles(files.metadata)
    with StackReader(particles) as reader:
        return imprint(reader, particles.subset(slice(count)))


def test_the_same_input_leaves_the_same_imprint(files: ParticleFiles) -> None:
    before = taken(files)
    write_stack(files.stack, two_views(COUNT), 5.0)
    os.utime(files.stack)
    assert taken(files) == before


def test_images_that_changed(files: ParticleFiles) -> None:
    before = taken(files)
    write_stack(files.stack, two_views(COUNT, seed=1), 5.0)
    assert taken(files)["images"] != before["images"]
    assert taken(files)["metadata"] == before["metadata"]


@pytest.mark.parametrize("label", ["ctfDefocusU", "ctfQ0", "enabled"])
def test_metadata_that_changed(files: ParticleFiles, label: str) -> None:
    before = taken(files)
    columns: dict[str, Any] = {**CTF, "enabled": 1.0}
    values = [columns[label]] * COUNT
    values[40] = -values[40]
    write_metadata(files.metadata, files.names(COUNT), {**columns, label: values})
    assert taken(files)["metadata"] != before["metadata"]


def test_particles_in_another_order(files: ParticleFiles) -> None:
    before = taken(files)
    write_metadata(files.metadata, files.names(COUNT)[::-1], CTF)
    assert taken(files)["metadata"] != before["metadata"]


def test_particles_that_came_later_do_not_count(files: ParticleFiles) -> None:
    before = taken(files, 50)
    images = two_views(COUNT)
    images[50:] += 1
    write_stack(files.stack, images, 5.0)
    assert taken(files, 50) == before
    assert taken(files, 51) != before


def test_no_enabled_particles_among_the_first(files: ParticleFiles) -> None:
    enabled = np.ones(COUNT)
    enabled[:10] = -1
    write_metadata(files.metadata, files.names(COUNT), {**CTF, "enabled": enabled.tolist()})
    assert taken(files, 5)["images"] == taken(files, 9)["images"]
    assert taken(files, 5)["metadata"] != taken(files, 9)["metadata"]


def test_one_stack_of_many_that_was_rewritten(tmp_path: Path) -> None:
    """More stacks than images are sampled of all particles together."""
    names = []
    for number in range(2 * MOST_IMAGES):
        stack = tmp_path / f"{number}.mrcs"
        write_stack(stack, two_views(3, seed=number), 5.0)
        names += [f"{index:06d}@{stack}" for index in (1, 2, 3)]
    write_metadata(tmp_path / "particles.xmd", names, {"enabled": [-1.0, 1.0, 1.0] * (2 * MOST_IMAGES)})

    def sampled() -> str:
        particles = read_particles(tmp_path / "particles.xmd")
        with StackReader(particles) as reader:
            return stack_samples(reader, particles)

    before = sampled()
    for number in (0, 77, 2 * MOST_IMAGES - 1):
        stack = tmp_path / f"{number}.mrcs"
        write_stack(stack, two_views(3, seed=1000), 5.0)
        assert sampled() != before
        write_stack(stack, two_views(3, seed=number), 5.0)
        assert sampled() == before


def test_a_run_is_not_continued_with_other_images(
    run_cli: Callable[..., Any], files: ParticleFiles, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run_cli("classify", files.metadata, "-o", out, *QUICK).code == 0
    before = (out / "particles.xmd").read_bytes()
    write_stack(files.stack, two_views(COUNT, seed=1), 5.0)
    outcome = run_cli("classify", files.metadata, "-o", out, *QUICK, "--resume")
    assert outcome.code == 2
    assert "other images" in outcome.err
    assert "without --resume" in outcome.err
    assert (out / "particles.xmd").read_bytes() == before


def test_a_stack_that_was_only_touched_is_no_other(
    run_cli: Callable[..., Any], files: ParticleFiles, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run_cli("classify", files.metadata, "-o", out, *QUICK).code == 0
    later = (out / "state" / "matches.safetensors").stat().st_mtime + 10
    os.utime(files.stack, (later, later))
    outcome = run_cli("classify", files.metadata, "-o", out, *QUICK, "--resume")
    assert outcome.code == 0
    assert outcome.err == ""
    assert not json.loads((out / "summary.json").read_text())["warnings"]
