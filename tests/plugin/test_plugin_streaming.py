"""A stream's memory on disk, what is read of a growing input, and classes that are brought up to date."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("in_folder")]

LABELS = ("itemId", "ref", "anglePsi", "shiftX", "shiftY", "scoreByAlignability", "flip")
CLASS_LABELS = ("ref", "image", "classCount", "resolutionFRC", "fom")


class Pointer:
    """What a set of classes asks of the pointer to its images."""

    def __init__(self, images: Any) -> None:
        from pyworkflow.object import Pointer

        self.pointer = Pointer(images)

    def get(self) -> Any:
        return self.pointer.get()

    def isPointer(self) -> bool:
        return True


def table(block: str, labels: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = f"# XMIPP_STAR_1 *\n#\ndata_{block}\nloop_\n" + "".join(f" _{label}\n" for label in labels)
    return text + "".join(" ".join(str(value) for value in row) + "\n" for row in rows)


def write_tables(classes: dict[int, int], changed: Iterable[int], angle: float) -> None:
    """The core's files for particles in classes {id: class}; class 0 is for the unusable."""
    rows = [(i, ref, angle + i, 0.5, -0.25, 0.5, 0) for i, ref in classes.items()]
    Path("particles.xmd").write_text(table("particles", LABELS, rows))
    Path("changed.xmd").write_text(table("particles", LABELS, [row for row in rows if row[0] in set(changed)]))
    number = max(classes.values())
    sizes = np.bincount(list(classes.values()), minlength=number + 1)
    described = [(k, f"{k:06d}@classes.mrcs", sizes[k], 20 + k + angle, 0.5) for k in range(1, number + 1)]
    Path("classes.xmd").write_text(table("classes", CLASS_LABELS, described))


def content(path: str, particles: Any) -> dict[int, Any]:
    """Everything that a SetOfClasses2D says, through pwem."""
    from pwem.objects import SetOfClasses2D

    classes = SetOfClasses2D(filename=path)
    classes.setImages(particles)
    found = {}
    for item in classes.iterItems():
        members = {p.getObjId(): p.getObjDict() for p in item.iterItems()}
        assert item.getSize() == len(members)
        found[item.getObjId()] = (item.getObjDict(), members)
    assert classes.getSize() == len(found)
    classes.close()
    return found


def test_classes_brought_up_to_date_equal_those_written_whole(make_set: Callable[..., Any]) -> None:
    """Over many random batches: particles come, move, lose their class; classes appear, empty and fill again."""
    from alignpca2d_plugin.class_sets import update_classes, write_classes

    random = np.random.default_rng(5)
    ids = [int(i) for i in random.permutation(np.arange(1, 400))]
    particles = make_set(sorted(ids))
    pointer = Pointer(particles).pointer
    classes = {i: int(random.integers(1, 4)) for i in ids[:100]}
    write_tables(classes, classes, 0.0)
    write_classes("classes.sqlite", pointer, ".")
    for batch in range(1, 13):
        new = ids[75 + 25 * batch : 100 + 25 * batch]
        moved = [int(i) for i in random.choice(list(classes), 40, replace=False)]
        if batch == 5:  # class 2 loses all members
            moved = [i for i, ref in classes.items() if ref == 2]
        choices = [1, 3] if batch in (5, 6) else [0, 1, 2, 3, 3 + batch % 4]
        changed = set(new) | set(moved)
        classes.update({i: int(random.choice(choices)) for i in changed})
        write_tables(classes, changed, 0.0)
        update_classes("classes.sqlite", pointer, ".")
        write_classes("whole.sqlite", pointer, ".")
        found = content("classes.sqlite", particles)
        assert found == content("whole.sqlite", particles)
        assert {i: ref for ref, (_, members) in found.items() for i in members} == {
            i: ref for i, ref in classes.items() if ref
        }
    assert not Path("classes.sqlite.new").exists()


def write_verdicts(verdicts: list[str]) -> None:
    Path("summary.json").write_text(json.dumps({"classes": {"verdict": verdicts}}))


def particles_in(path: str) -> dict[int, Any]:
    """Everything that a SetOfParticles says, through pwem."""
    from pwem.objects import SetOfParticles

    particles = SetOfParticles(filename=path)
    particles.loadAllProperties()
    assert particles.hasAlignment2D()
    assert particles.hasCTF()
    found = {p.getObjId(): p.getObjDict() for p in particles.iterItems()}
    assert particles.getSize() == len(found)
    particles.close()
    return found


def test_particles_of_good_classes_follow_the_classes(make_set: Callable[..., Any]) -> None:
    """Particles come, move and leave; verdicts change; for a while no class is good: as if written whole each time."""
    from pwem.objects import SetOfClasses2D

    from alignpca2d_plugin.chosen_particles import has_verdict, update_particles_of, write_particles_of
    from alignpca2d_plugin.class_members import OtherColumns
    from alignpca2d_plugin.class_sets import update_classes, write_classes

    random, good = np.random.default_rng(7), has_verdict(("good",))
    particles = make_set(range(1, 300))
    pointer = Pointer(particles).pointer
    classes = {i: 1 + i % 3 for i in range(1, 41)}
    write_tables(classes, classes, 0.0)
    write_verdicts(["doubtful", "junk", "junk"])
    write_classes("classes.sqlite", pointer, ".")
    output = SetOfClasses2D(filename="classes.sqlite")
    output.setImages(pointer)
    assert write_particles_of("good.sqlite", particles, output, good) == 0
    assert not Path("good.sqlite").exists()
    whole = 0
    for batch in range(1, 10):
        new = range(41 + 25 * (batch - 1), 41 + 25 * batch)
        changed = {*new, *(int(i) for i in random.choice(list(classes), 15, replace=False))}
        classes.update({i: int(random.integers(0, 4)) for i in changed})
        write_tables(classes, changed, 0.0 if batch % 2 else 1.0)
        verdicts = ["junk"] * 3 if batch == 5 else [str(random.choice(["good", "junk"])) for _ in range(2)] + ["good"]
        write_verdicts(verdicts)
        update_classes("classes.sqlite", pointer, ".")
        try:
            number = update_particles_of("good.sqlite", output, good, changed) if batch > 1 else None
        except OtherColumns:
            number = None
        if number is None:
            whole += 1
            number = write_particles_of("good.sqlite", particles, output, good)
        found = particles_in("good.sqlite")
        assert set(found) == {i for i, ref in classes.items() if ref and verdicts[ref - 1] == "good"}
        assert len(found) == number
        if write_particles_of("whole.sqlite", particles, output, good):
            assert found == particles_in("whole.sqlite")
            Path("whole.sqlite").unlink()
    assert whole == 2  # the first time, and after none was good
    assert not Path("good.sqlite.new").exists()


def test_the_set_on_disk_is_complete_until_the_new_one_is(
    make_set: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignpca2d_plugin import class_sets, set_files

    particles = make_set(range(1, 21))
    pointer = Pointer(particles).pointer
    classes = {i: 1 + i % 2 for i in range(1, 11)}
    write_tables(classes, classes, 0.0)
    class_sets.write_classes("classes.sqlite", pointer, ".")
    before = content("classes.sqlite", particles)
    classes.update(dict.fromkeys(range(5, 21), 3))
    write_tables(classes, range(5, 21), 0.0)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(set_files, "_copy_content", crash)
        with pytest.raises(KeyboardInterrupt):
            class_sets.update_classes("classes.sqlite", pointer, ".")
    assert content("classes.sqlite", particles) == before
    class_sets.update_classes("classes.sqlite", pointer, ".")
    assert {ref: len(members) for ref, (_, members) in content("classes.sqlite", particles).items()} == {
        1: 2,
        2: 2,
        3: 16,
    }


def test_who_has_the_set_open_sees_it_change(make_set: Callable[..., Any]) -> None:
    from pwem.objects import SetOfClasses2D

    from alignpca2d_plugin.class_sets import write_classes

    particles = make_set(range(1, 21))
    pointer = Pointer(particles).pointer
    write_tables(dict.fromkeys(range(1, 6), 1), [], 0.0)
    write_classes("classes.sqlite", pointer, ".")
    reader = SetOfClasses2D(filename="classes.sqlite")
    assert [item.getSize() for item in reader.iterItems()] == [5]
    write_tables({i: 1 + i % 2 for i in range(1, 21)}, [], 0.0)
    write_classes("classes.sqlite", pointer, ".")
    assert [item.getSize() for item in reader.iterItems()] == [10, 10]
    reader.close()


def test_a_reader_that_does_not_end_is_left_with_the_old_set(
    make_set: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from alignpca2d_plugin import class_sets, set_files

    monkeypatch.setattr(set_files, "SECONDS_FOR_READERS", 1)
    particles = make_set(range(1, 21))
    pointer = Pointer(particles).pointer
    write_tables(dict.fromkeys(range(1, 6), 1), [], 0.0)
    class_sets.write_classes("classes.sqlite", pointer, ".")
    reader = sqlite3.connect("classes.sqlite")
    rows = reader.execute("SELECT id FROM Class001_Objects")
    assert rows.fetchone() == (1,)
    write_tables(dict.fromkeys(range(1, 21), 1), [], 0.0)
    class_sets.write_classes("classes.sqlite", pointer, ".")
    assert len(rows.fetchall()) == 4
    reader.close()
    assert len(content("classes.sqlite", particles)[1][1]) == 20


def test_a_set_that_grows_is_open_from_the_first_moment(make_set: Callable[..., Any]) -> None:
    """Another protocol may look between the writing of the file and its becoming an output."""
    from pyworkflow.object import Set

    from alignpca2d_plugin.class_sets import update_classes, write_averages, write_classes
    from alignpca2d_plugin.growing_input import is_open

    particles = make_set(range(1, 21))
    pointer = Pointer(particles).pointer
    write_tables(dict.fromkeys(range(1, 6), 1), [], 0.0)
    write_classes("classes.sqlite", pointer, ".", Set.STREAM_OPEN)
    write_averages("averages.sqlite", particles, ".", Set.STREAM_OPEN)
    assert all(is_open(_named(name)) for name in ("classes.sqlite", "averages.sqlite"))
    write_tables(dict.fromkeys(range(1, 21), 1), range(6, 21), 0.0)
    update_classes("classes.sqlite", pointer, ".", Set.STREAM_OPEN)
    assert is_open(_named("classes.sqlite"))
    update_classes("classes.sqlite", pointer, ".", Set.STREAM_CLOSED)
    assert not is_open(_named("classes.sqlite"))


def _named(path: str) -> Any:
    from pwem.objects import SetOfParticles

    particles = SetOfParticles()
    particles._mapperPath.set(f"{path}, ")
    return particles


def test_a_missed_batch_is_noticed(make_set: Callable[..., Any]) -> None:
    from alignpca2d_plugin.class_sets import OtherColumns, update_classes, write_classes

    particles = make_set(range(1, 21))
    pointer = Pointer(particles).pointer
    write_tables(dict.fromkeys(range(1, 6), 1), [], 0.0)
    write_classes("classes.sqlite", pointer, ".")
    write_tables(dict.fromkeys(range(1, 21), 1), range(11, 21), 0.0)  # 6 to 10 came in between
    with pytest.raises(OtherColumns, match="members"):
        update_classes("classes.sqlite", pointer, ".")


def test_a_batch_reads_no_more_of_a_large_set_than_of_a_small_one(
    make_set: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in items that are read, since clocks of shared machines lie."""
    from pyworkflow.mapper.sqlite import SqliteFlatMapper

    from alignpca2d_plugin.class_sets import update_classes, write_classes

    pointer = Pointer(make_set(range(1, 1501))).pointer
    calls: list[Any] = []
    original = SqliteFlatMapper._SqliteFlatMapper__objFromRow
    read = {}
    for known in (300, 1400):
        classes = {i: 1 + i % 4 for i in range(1, known + 1)}
        write_tables(classes, classes, 0.0)
        write_classes("classes.sqlite", pointer, ".")
        changed = range(known + 1, known + 101)
        classes.update({i: 1 + i % 3 for i in changed})
        write_tables(classes, changed, 0.0)
        with monkeypatch.context() as patch:
            patch.setattr(SqliteFlatMapper, "_SqliteFlatMapper__objFromRow", lambda *a: calls.append(a) or original(*a))
            update_classes("classes.sqlite", pointer, ".")
        read[known] = len(calls)
        calls.clear()
    assert read[300] == read[1400]
    assert 100 <= read[300] < 120
