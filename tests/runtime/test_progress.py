"""Progress: what a terminal, a log and a quiet run see, and what is measured."""

from __future__ import annotations

import io

import pytest

from alignpca2d_core.runtime import progress as progress_module
from alignpca2d_core.runtime.progress import Progress, spoken


class Clock:
    """Time that passes only when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress_module.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(progress_module.time, "process_time", lambda: 2 * self.now)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that a person would see in the end."""
        return [line.split("\r\x1b[K")[-1] for line in self.getvalue().split("\n")]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Clock(monkeypatch)


def test_a_log_gets_a_line_every_five_seconds(clock: Clock) -> None:
    log = io.StringIO()
    progress = Progress(stream=log)
    with progress.stage("Stage 1", total=100) as stage:
        for _ in range(100):
            clock.now += 0.2
            stage.advance(note="12.0 Å")
    lines = log.getvalue().splitlines()
    assert lines[0] == "Stage 1   25%  25 of 100  15 s left  12.0 Å"
    assert lines[-1] == "Stage 1: 20 s, 100 of 100, 12.0 Å"
    assert len(lines) == 4 + 1
    assert "\r" not in log.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress(stream=terminal)
    with progress.stage("Stage 1", total=10) as stage:
        for _ in range(5):
            clock.now += 1.0
            stage.advance()
        assert terminal.screen() == ["Stage 1  [############............]  50%  5 of 10  5.0 s left"]
        progress.say("hello")
        assert terminal.screen()[0] == "hello"
        assert terminal.screen()[1].startswith("Stage 1  [####")
    assert terminal.screen() == ["hello", "Stage 1: 5.0 s, 5 of 10", ""]


def test_a_narrow_terminal_never_wraps(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    terminal = Terminal()
    with Progress(stream=terminal).stage("Stage 1", total=10) as stage:
        clock.now += 5
        stage.advance(5, note="a long note " * 5)
        assert len(terminal.screen()[-1]) == 29


def test_frames_are_drawn_at_most_ten_times_a_second(clock: Clock) -> None:
    terminal = Terminal()
    with Progress(stream=terminal).stage("Stage 1", total=1000) as stage:
        for _ in range(1000):
            clock.now += 0.001
            stage.advance()
    assert 8 <= terminal.getvalue().count("[") <= 2 * 13  # a bracket in the bar and one in the escape sequence


def test_without_a_total_there_is_a_count_and_no_estimate(clock: Clock) -> None:
    log = io.StringIO()
    with Progress(stream=log).stage("Waiting") as stage:
        clock.now += 6
        stage.advance(3)
    assert log.getvalue().splitlines() == ["Waiting  3", "Waiting: 6.0 s, 3"]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet_prints_warnings_only(clock: Clock, stream: type[io.StringIO]) -> None:
    out = stream()
    progress = Progress(quiet=True, stream=out)
    with progress.stage("Stage 1", total=2) as stage:
        clock.now += 10
        stage.advance()
        progress.say("hello")
        progress.warn("3 particles are constant")
        progress.warn("3 particles are constant")
    assert out.getvalue() == "Warning: 3 particles are constant\n"
    assert progress.warnings == ["3 particles are constant"]


def test_times_add_up_over_stages_of_one_name(clock: Clock) -> None:
    progress = Progress(quiet=True)
    for seconds in (3, 4):
        with progress.stage("Search"):
            clock.now += seconds
    with pytest.raises(KeyError), progress.stage("Failing"):
        clock.now += 1
        raise KeyError
    assert progress.times == {"Search": {"wall_s": 7, "cpu_s": 14}, "Failing": {"wall_s": 1, "cpu_s": 2}}


def test_a_stage_that_fails_leaves_the_cursor_on_a_new_line(clock: Clock) -> None:
    terminal = Terminal()
    with pytest.raises(KeyError), Progress(stream=terminal).stage("Stage 1", total=2):
        raise KeyError
    assert terminal.screen()[-1] == ""


def test_a_stream_that_cannot_write_the_letters(clock: Clock) -> None:
    raw = io.BytesIO()
    progress = Progress(stream=io.TextIOWrapper(raw, encoding="ascii"))
    progress.say("8 Å")
    assert raw.getvalue() == b"8 ?\n"


def test_a_reader_that_has_gone_does_not_end_the_run(clock: Clock) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(text)

    progress = Progress(stream=Gone())
    progress.warn("into the void")
    with progress.stage("Stage 1", total=1) as stage:
        clock.now += 10
        stage.advance()
    assert progress.warnings == ["into the void"]
    assert progress.times["Stage 1"]["wall_s"] == 10


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3725, "1 h 02 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
