"""What a stream is given: bad and vanished particles, other settings, other boxes, identifiers that come twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated import SimulatedSet
from streams import PORTIONS, cut, rows_of, step, stream, summary_of

from alignpca2d_core.errors import InputError
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.particle_set import ParticleSet, write_particles
from alignpca2d_core.io.stacks import StackReader, write_stack
from alignpca2d_core.streaming import update as update_module
from alignpca2d_core.streaming.store.particle_identity import identities


@pytest.fixture
def marred(simulated: SimulatedSet, tmp_path: Path) -> list[Path]:
    """Portions with a disabled particle, a constant one and one of NaN in each, in a stack of their own."""
    particles = read_particles(simulated.metadata)
    images = StackReader(particles).read(np.arange(len(particles))).copy()
    images[1::60] = 3.0
    write_stack(tmp_path / "marred.mrcs", images, 7.0)
    pixels = np.memmap(tmp_path / "marred.mrcs", np.float32, "r+", 1024, images.shape)
    pixels[2::60, 5] = np.nan
    pixels.flush()
    enabled = particles.enabled.copy()
    enabled[::60] = False
    marred = ParticleSet(**{**vars(particles), "stacks": (tmp_path / "marred.mrcs",), "enabled": enabled})
    write_particles(tmp_path / "marred.xmd", marred)
    return cut(tmp_path / "marred.xmd", tmp_path, PORTIONS)


def test_bad_particles_stay_in_their_rows(marred: list[Path], tmp_path: Path) -> None:
    said = stream(marred, tmp_path / "out")[-1]
    found = rows_of(tmp_path / "out" / "particles.xmd")
    unused = [number for number, row in found.items() if row[0] == 0]
    assert unused == sorted(60 * portion + which for portion in range(5) for which in (1, 2, 3))
    assert all(found[number][-1] == -1 for number in unused)
    assert said["counts"] == {
        "particles": 300,
        "classified": 285,
        "disabled": 5,
        "unusable": 10,
        "classes": 3,
        "views": 3,
    }


def test_what_cannot_be_used_is_delivered_with_the_others(marred: list[Path], tmp_path: Path) -> None:
    """A program that follows changed.xmd learns of every row."""
    for path in marred[:3]:
        step(path, tmp_path / "out")
    assert {121, 122, 123} <= set(rows_of(tmp_path / "out" / "changed.xmd"))
    alone = read_particles(marred[3]).subset(np.arange(3))
    write_particles(tmp_path / "alone.xmd", alone)
    said = step(tmp_path / "alone.xmd", tmp_path / "out")
    assert set(rows_of(tmp_path / "out" / "changed.xmd")) >= {181, 182, 183}
    assert said["counts"]["particles"] == 183


def test_what_one_version_held_fast_may_be_forgotten_by_the_next(
    portions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(update_module, "MAY_CHANGE", tuple(set(update_module.MAY_CHANGE) - {"passthrough"}))
        step(portions[0], tmp_path)
        step(portions[1], tmp_path)
    assert '"passthrough"' in (tmp_path / "state" / "stream.json").read_text()
    assert step(portions[2], tmp_path)["counts"]["particles"] == 180
    assert '"passthrough"' not in (tmp_path / "state" / "stream.json").read_text()


def test_particles_that_vanish_or_change_keep_their_classes(marred: list[Path], tmp_path: Path) -> None:
    for path in marred:
        step(path, tmp_path / "out", revisit=0.0)
    before = rows_of(tmp_path / "out" / "particles.xmd")
    pixels = np.memmap(tmp_path / "marred.mrcs", np.float32, "r+", 1024, (300, 32, 32))
    pixels[:] = pixels[::-1].copy()
    pixels.flush()
    said = step(None, tmp_path / "out", last=True)
    assert "their images have changed" in " ".join(said["warnings"])
    after = rows_of(tmp_path / "out" / "particles.xmd")
    assert {one: row[0] for one, row in after.items()} == {one: row[0] for one, row in before.items()}


@pytest.mark.parametrize(
    ("change", "named"),
    [({"classes": 4}, r"classes \(3, now 4\); give it the same"), ({"resolution": 20.0}, "resolution")],
)
def test_settings_must_stay(portions: list[Path], tmp_path: Path, change: dict[str, Any], named: str) -> None:
    step(portions[0], tmp_path)
    with pytest.raises(InputError, match=f"begun with other {named}"):
        step(portions[1], tmp_path, **change)
    step(portions[0], tmp_path, batch_size=7, revisit=2.0)


def test_limits_of_good_classes_may_change_and_the_history_counts_what_is_good(
    portions: list[Path], begun: Path
) -> None:
    before = summary_of(begun)
    sizes, said = before["classes"]["size"], before["classes"]["verdict"]
    last = before["history"]["batches"][-1]
    assert last["verdicts"] == {verdict: said.count(verdict) for verdict in ("good", "doubtful", "junk")}
    assert last["good"] == sum(size for size, verdict in zip(sizes, said, strict=True) if verdict == "good") > 0
    after = step(portions[2], begun, good_particles=10**6, title="of the night")
    assert "good" not in after["classes"]["verdict"]
    assert after["history"]["batches"][-1]["good"] == 0
    assert after["settings"]["title"] == "of the night"


def test_another_box_is_refused_and_nothing_lost(portions: list[Path], tmp_path: Path) -> None:
    step(portions[0], tmp_path / "out")
    other = SimulatedSet.make(tmp_path / "other", box=40, particles=20)
    with pytest.raises(InputError, match="begun with other box"):
        step(other.metadata, tmp_path / "out")
    assert step(portions[1], tmp_path / "out")["stream"]["batch"] == 1


def test_a_classification_is_not_overwritten(simulated: SimulatedSet, portions: list[Path], tmp_path: Path) -> None:
    (tmp_path / "classes.xmd").write_text("")
    with pytest.raises(InputError, match="no stream's"):
        step(portions[0], tmp_path)


def test_nothing_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stream was begun"):
        step(None, tmp_path, last=True)
    with pytest.raises(InputError, match="--last"):
        step(None, tmp_path)


def test_ids_that_come_twice_stay_apart(portions: list[Path], tmp_path: Path) -> None:
    second = read_particles(portions[1])
    second.ids = second.ids - 60
    write_particles(tmp_path / "second.xmd", second)
    step(portions[0], tmp_path / "out")
    step(tmp_path / "second.xmd", tmp_path / "out")
    assert sorted(rows_of(tmp_path / "out/particles.xmd")) == list(range(1, 121))


def test_identity_of_an_image_is_its_own(tmp_path: Path) -> None:
    particles = read_particles_of(tmp_path, stacks=30, images=500)
    assert len(np.unique(identities(particles, tmp_path))) == 15000
    np.testing.assert_array_equal(identities(particles, tmp_path), identities(particles, tmp_path / "x" / ".."))


def read_particles_of(folder: Path, stacks: int, images: int) -> ParticleSet:
    count = stacks * images
    paths = tuple(folder / f"{number}.mrcs" for number in range(stacks))
    rows = np.arange(count)
    return ParticleSet(
        table=read_particles_table(count),
        stacks=paths,
        stack_of=(rows // images).astype(np.int32),
        index_in_stack=rows % images,
        enabled=np.ones(count, dtype=bool),
        ids=rows + 1,
        source=folder,
    )


def read_particles_table(count: int) -> Any:
    from alignpca2d_core.io.star.star_reader import Table

    return Table("particles", {"itemId": np.arange(count) + 1})
