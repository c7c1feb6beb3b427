"""Whether the input is noticed to have changed, and not noticed where it has not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particle_files import CTF, ParticleFiles, two_views, write_metadata

from alignpca2d_core.io.particle_set import read_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.preprocessing.input_fingerprint import MOST_IMAGES, imprint, newer_stacks

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
        return imprint(reader, particles, count)


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


def test_stacks_that_are_newer(files: ParticleFiles, tmp_path: Path) -> None:
    particles = read_particles(files.metadata)
    mark = tmp_path / "mark"
    assert newer_stacks(particles, mark) == []
    mark.touch()
    os.utime(files.stack, (1, 1))
    assert newer_stacks(particles, mark) == []
    os.utime(mark, (0, 0))
    assert newer_stacks(particles, mark) == [files.stack]


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


def test_a_stack_that_was_only_touched_is_told_of(
    run_cli: Callable[..., Any], files: ParticleFiles, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run_cli("classify", files.metadata, "-o", out, *QUICK).code == 0
    later = (out / "state" / "matches.safetensors").stat().st_mtime + 10
    os.utime(files.stack, (later, later))
    outcome = run_cli("classify", files.metadata, "-o", out, *QUICK, "--resume")
    assert outcome.code == 0
    assert "particles.mrcs" in outcome.err
    assert "without --resume" in (out / "summary.json").read_text()
