"""An input that grows: what is in it at one moment, and what of it was handed over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pwem", reason="Scipion is not installed")
pytestmark = [pytest.mark.scipion, pytest.mark.usefixtures("in_folder")]


def test_look_gives_state_and_enabled_ids_of_one_moment(make_set: Callable[..., Any]) -> None:
    from pyworkflow.object import Set

    from alignpca2d_plugin.growing_input import look

    particles = make_set([3, 9, 1000], disabled=[9], state=Set.STREAM_OPEN)
    particles.close()
    assert look(particles) == (True, {3, 1000})
    with sqlite3.connect("particles.sqlite") as connection:
        connection.execute("UPDATE Properties SET value = 2 WHERE key = '_streamState'")
    assert look(particles) == (False, {3, 1000})


def test_a_locked_input_is_waited_for_and_not_taken_for_closed(make_set: Callable[..., Any]) -> None:
    import threading

    from pyworkflow.object import Set

    from alignpca2d_plugin.growing_input import look

    particles = make_set([1, 2], state=Set.STREAM_OPEN)
    particles.close()
    writer = sqlite3.connect("particles.sqlite", check_same_thread=False, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(1.0, lambda: writer.execute("COMMIT"))
    timer.start()
    assert look(particles) == (True, {1, 2})
    timer.join()
    writer.close()


def test_an_input_without_items_is_as_open_as_it_was(tmp_path: Path) -> None:
    from pwem.objects import SetOfParticles
    from pyworkflow.object import Set

    from alignpca2d_plugin.growing_input import look

    particles = SetOfParticles(filename="none.sqlite")
    particles.setStreamState(Set.STREAM_OPEN)
    assert look(particles) == (True, set())
    particles.close()
    Path("none.sqlite").unlink()
    assert look(particles) == (True, set())
    assert not Path("none.sqlite").exists()


def test_the_folder_remembers_what_was_handed_over(make_set: Callable[..., Any]) -> None:
    from alignpca2d_plugin.protocols.stream_folder import StreamFolder

    particles = make_set([2, 7, 8, 30, 31, 500], disabled=[8])
    folder = StreamFolder("stream")
    assert not folder.exists()
    assert (folder.ids(), folder.pending()) == (set(), None)
    folder.make()
    assert folder.write(particles, [30, 2], with_ctf=True) == 1
    assert (folder.ids(), folder.pending()) == ({2, 30}, 1)
    folder.taken(1)
    assert (folder.ids(), folder.pending()) == ({2, 30}, None)
    assert folder.write(particles, [500, 7], with_ctf=True) == 2
    again = StreamFolder("stream")
    assert (again.ids(), again.pending()) == ({2, 7, 30, 500}, 2)
    assert again.ids_of_batch(2) == {7, 500}
    assert folder.write(particles, [31, 77], with_ctf=True) == 3  # 77 has left the input in between
    assert folder.ids_of_batch(3) == {31}
    Path(folder.batch(3)).unlink()
    rows = [line.split()[0] for line in Path(again.batch(2)).read_text().splitlines() if line[:1].isdigit()]
    assert rows == ["7", "500"]
    (Path("stream") / "batch_000003.xmd.tmp").write_text("cut")
    assert again.pending() == 2
