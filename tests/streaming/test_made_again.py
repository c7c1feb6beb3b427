"""Classes that began with few particles are made again of enough: as a whole run does, under the numbers they had."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from simulated import SimulatedSet, run
from streams import START, content, cut, rows_of, step

import alignpca2d_core.streaming.update as update_module
from alignpca2d_core.preprocessing.preprocess import Whitening
from alignpca2d_core.results.result_files import read_results
from alignpca2d_core.state.checkpoint import whitening_of
from alignpca2d_core.streaming.class_numbers import in_numbers_of
from alignpca2d_core.streaming.running_classes import RunningClasses
from alignpca2d_core.streaming.store.stream_store import StreamStore

ENOUGH = 80
"""Particles of each of the three classes: 240 are enough, 120 are not."""


def partition(directory: Path) -> set[tuple[int, ...]]:
    """The particles of each class, whatever its number."""
    result = read_results(directory)[1]
    return {tuple(np.flatnonzero(result.assignments == number)) for number in range(len(result))}


def test_what_is_made_again_is_what_a_whole_run_makes(
    simulated: SimulatedSet, begun: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("whole")
    run(simulated.metadata, whole)
    said = step(simulated.metadata, begun, last=True, enough=ENOUGH)
    assert partition(begun) == partition(whole)
    assert "Stage 2" not in said["times"]  # the sample was all of them, not as many as began the stream
    assert said["counts"]["classified"] == said["counts"]["particles"] == 300


def test_made_again_once_there_are_enough_and_only_once(begun: Path, portions: list[Path]) -> None:
    made_of, before = [StreamStore(begun).record.made_of], rows_of(begun / "particles.xmd")
    for path in portions[2:]:
        step(path, begun, enough=ENOUGH)
        made_of.append(StreamStore(begun).record.made_of)
        held = before | rows_of(begun / "changed.xmd")
        assert held == rows_of(begun / "particles.xmd")
        assert np.mean([held[one][0] == before[one][0] for one in before]) > 0.95  # the classes keep their numbers
        before = held
    assert made_of == [START, START, 240, 240]
    step(None, begun, last=True, enough=ENOUGH)
    assert StreamStore(begun).record.made_of == 240


def test_killed_while_made_again(begun: Path, portions: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    step(portions[2], begun, enough=ENOUGH)
    copy = begun.parent / "undisturbed"
    shutil.copytree(begun, copy)
    with monkeypatch.context() as patch:
        patch.setattr(StreamStore, "save_classes", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            step(portions[3], begun, enough=ENOUGH)
    for directory in (begun, copy):
        step(portions[3], directory, enough=ENOUGH)
    assert StreamStore(begun).record.made_of == 240
    assert rows_of(begun / "particles.xmd") == rows_of(copy / "particles.xmd")


def test_killed_before_they_are_delivered(
    begun: Path, simulated: SimulatedSet, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the next process restores gives the same files to the last bit as what this one has learned."""
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(begun, undisturbed, dirs_exist_ok=True)
    step(simulated.metadata, undisturbed, last=True, enough=ENOUGH)
    with monkeypatch.context() as patch:
        patch.setattr(update_module, "deliver", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            step(simulated.metadata, begun, last=True, enough=ENOUGH)
    assert StreamStore(begun).record.made_of == 300
    step(simulated.metadata, begun, last=True, enough=ENOUGH)
    assert content(begun) == content(undisturbed)


def test_what_is_restored_rounds_as_what_was_learned(
    begun: Path, simulated: SimulatedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products in another layout, and noise divided out in one step for two, would differ in the last bit."""
    learned: list[tuple[Whitening, dict[str, torch.Tensor]]] = []
    tensors = RunningClasses.tensors

    def noted(classes: RunningClasses) -> dict[str, torch.Tensor]:
        learned.append((classes.whitening, tensors(classes)))
        return learned[-1][1]

    monkeypatch.setattr(RunningClasses, "tensors", noted)
    step(simulated.metadata, begun, last=True, enough=ENOUGH)
    whitening, saved = learned[-1]
    assert [name for name, value in saved.items() if not value.is_contiguous()] == []
    assert whitening.correction is not None
    rings = torch.arange(len(whitening.noise)).repeat_interleave(100)
    spectra = torch.randn(3, len(rings), dtype=torch.complex64, generator=torch.Generator().manual_seed(7))
    assert torch.equal(whitening_of(saved).applied(spectra, rings), whitening.applied(spectra, rings))


def test_not_where_nothing_is_to_be_revisited(begun: Path, simulated: SimulatedSet) -> None:
    step(simulated.metadata, begun, last=True, revisit=0.0, enough=ENOUGH)
    assert StreamStore(begun).record.made_of == START


def test_not_where_images_are_gone(simulated: SimulatedSet, tmp_path: Path) -> None:
    shutil.copytree(simulated.folder, tmp_path / "set")
    one, other = cut(tmp_path / "set" / "particles.xmd", tmp_path, 2)
    step(one, tmp_path / "out", initial_particles=100, enough=ENOUGH)
    classes = {row: place[0] for row, place in rows_of(tmp_path / "out" / "particles.xmd").items()}
    text = other.read_text()
    shutil.copy(tmp_path / "set" / "particles.mrcs", tmp_path / "set" / "others.mrcs")
    other.write_text(text.replace("particles.mrcs", "others.mrcs"))
    (tmp_path / "set" / "particles.mrcs").unlink()
    said = step(other, tmp_path / "out", last=True, enough=ENOUGH)
    assert StreamStore(tmp_path / "out").record.made_of == 150
    after = rows_of(tmp_path / "out" / "particles.xmd")
    assert {row: after[row][0] for row in classes} == classes
    assert any("150 earlier particles cannot be read any more" in line for line in said["warnings"])


def test_numbers_go_to_those_that_share_most() -> None:
    before = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, -1])
    now = torch.tensor([2, 2, 1, 1, 1, 1, 0, 3, 3])
    assert in_numbers_of(before, now, torch.tensor([0, 1, 2, 3])).tolist() == [2, 1, 3, 0]


def test_numbers_of_fewer_classes_before() -> None:
    before, now = torch.tensor([0, 0, 7, 1]), torch.tensor([3, 3, 2, 0])
    assert in_numbers_of(before, now, torch.tensor([2, 3, 0, 1])).tolist() == [3, 0, 2, 1]
