"""Use Scipion's own windows as a person would: find the protocol, fill its form, execute it, look at the results.

Run under an X display by :mod:`test_plugin_gui`, and to take the pictures in docs/images::

    python -O tests/plugin/gui_robot.py PROJECT PICTURES [stream] [parameter=value ...]

The project holds a finished import of particles.  Tk tells where a widget is; the pointer and the keys are xdotool's,
so every click goes through the X server, the window manager and Scipion's own bindings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tkinter as tk
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tkinter import ttk
from typing import Any

POLL_MS = 200
PATIENCE_SECONDS = 180
DRAWING_SECONDS = 1.5
DOUBLE_CLICK_MS = 120
WHEEL_DOWN = 5
MASK_SMALLER_PX = 4
"""By how much the mask's radius is made smaller than half the box."""

OPENED = (
    ("FRC curves", "FRC curves of", "frc"),
    ("Sizes", "Sizes and resolutions of", "sizes"),
    ("Convergence", "Convergence of", "convergence"),
    ("Monitor", "Monitor of", "monitor"),
    ("Table of classes", "classes2D.sqlite", "results"),
    ("Table of averages", "averages.sqlite", "averages"),
)
"""A button of the results' page, a part of the title of the window that it opens, and the picture's name."""
STREAM, SOME_PARTICLES = "stream", 120
RESULTS = "Classes of"
"""Title of that page; before it the word for a session with a growing input, and when its input pauses."""


class Robot:
    """Steps of a script are taken between the events of Tk's loop; each waits for what it needs.

    Parameters
    ----------
    window : ProjectWindow
    pictures : Path
        Folder for the screenshots.
    """

    def __init__(self, window: Any, pictures: Path) -> None:
        self.window, self.pictures = window, pictures
        self.forms: list[Any] = []
        self.results: list[Any] = []
        pictures.mkdir(parents=True, exist_ok=True)

    def start(self, script: Iterator[Callable[[], Any]]) -> None:
        """Let the script run: it yields conditions, and goes on when the last one it gave is true."""
        self._script, self._condition = script, lambda: True
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        self.window.root.after(POLL_MS, self._tick)

    def _tick(self) -> None:
        try:
            if self._condition():
                self._condition = next(self._script)
                self._deadline = time.monotonic() + PATIENCE_SECONDS
            elif time.monotonic() > self._deadline:
                line = self._script.gi_frame.f_lineno  # type: ignore[attr-defined]
                raise TimeoutError(f"{Path(__file__).name}, line {line}: it did not happen in time")
        except StopIteration:
            self.end(0)
        except Exception:
            traceback.print_exc()
            self.picture("failure")
            self.end(1)
        self.window.root.after(POLL_MS, self._tick)

    def end(self, code: int) -> None:
        """Leave at once: Scipion's windows wait for each other in loops of their own."""
        sys.stdout.flush()
        os._exit(code)

    def picture(self, name: str, title: str = "") -> None:
        """A screenshot of the window whose title contains `title`, by default of the whole display."""
        self.window.root.update_idletasks()
        window = self.windows(title)[-1] if title else "root"
        subprocess.run(["import", "-window", window, str(self.pictures / f"{name}.png")], check=True)
        print("picture", name, flush=True)

    def click_at(self, x: float, y: float, times: int = 1, button: int = 1) -> None:
        move = ["mousemove", str(round(x)), str(round(y))]
        click = ["click", "--repeat", str(times), "--delay", str(DOUBLE_CLICK_MS), str(button)]
        subprocess.run(["xdotool", *move, *click], check=True)

    def click(self, widget: tk.Misc, times: int = 1, button: int = 1) -> None:
        x, y = widget.winfo_rootx() + widget.winfo_width() / 2, widget.winfo_rooty() + widget.winfo_height() / 2
        self.click_at(x, y, times, button)

    def type(self, widget: tk.Misc, text: str) -> None:
        """Replace what is in an entry."""
        self.click(widget)
        subprocess.run(["xdotool", "key", "End", "shift+Home", "type", text], check=True)

    def raise_window(self, window: Any) -> None:
        """Above those that were opened before."""
        window.root.attributes("-topmost", True)
        window.root.attributes("-topmost", False)
        window.root.lift()

    def away(self) -> None:
        """The pointer to a corner, where no tooltip opens."""
        subprocess.run(["xdotool", "mousemove", "3", "3"], check=True)

    def click_row(self, tree: ttk.Treeview, item: str, times: int = 1) -> None:
        tree.see(item)
        tree.update_idletasks()
        x, y, _, height = tree.bbox(item, column="#0")
        self.click_at(tree.winfo_rootx() + x + 40, tree.winfo_rooty() + y + height / 2, times)

    def click_tab(self, inside: tk.Misc, text: str) -> None:
        """Click on the tab of a notebook that has this text."""
        for book in widgets(inside, ttk.Notebook):
            for x in range(5, book.winfo_width(), 5):
                index = book.tk.call(book, "identify", "tab", x, 10)
                if index != "" and str(book.tab(index, "text")).strip() == text:
                    self.click_at(book.winfo_rootx() + x + 10, book.winfo_rooty() + 10)
                    return
        raise LookupError(f"no tab {text}")

    def windows(self, name: str) -> list[str]:
        """X windows of any program whose title contains `name`."""
        done = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", name], capture_output=True, text=True, check=False
        )
        return done.stdout.split()


def widgets(root: tk.Misc, kind: type) -> list[Any]:
    """All widgets of a class that are on the screen, in the tree under `root`."""
    found = [child for child in root.winfo_children() if isinstance(child, kind) and child.winfo_viewable()]
    for child in root.winfo_children():
        found += widgets(child, kind)
    return found


def with_text(root: tk.Misc, text: str) -> tk.Misc | None:
    """The button or label on the screen that has this text."""
    matching = (w for w in widgets(root, tk.Widget) if "text" in w.keys() and str(w.cget("text")).strip() == text)  # noqa: SIM118
    return next(matching, None)


def titled(root: tk.Misc, title: str) -> tk.Toplevel | None:
    """The window of this program on the screen that has this title."""
    return next((window for window in widgets(root, tk.Toplevel) if window.title() == title), None)


def tree_items(tree: ttk.Treeview, parent: str = "") -> Iterator[str]:
    for item in tree.get_children(parent):
        yield item
        yield from tree_items(tree, item)


def tree_with(root: tk.Misc, text: str) -> tuple[ttk.Treeview, str] | None:
    """A tree on the screen and its item whose text contains `text`."""
    for tree in widgets(root, ttk.Treeview):
        for item in tree_items(tree):
            if text in str(tree.item(item, "text")):
                return tree, item
    return None


def pause(seconds: float) -> Callable[[], bool]:
    """Time for the screen to be drawn."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def session(robot: Robot, values: dict[str, str]) -> Iterator[Callable[[], Any]]:
    """From the list of protocols to the gallery."""
    window, root = robot.window, robot.window.root
    project = window.project
    yield lambda: tree_with(root, "alignPCA-2D (standalone)")
    yield pause(DRAWING_SECONDS)
    robot.click_row(*tree_with(root, "alignPCA-2D (standalone)"), times=2)
    yield lambda: robot.forms and robot.forms[-1].root.winfo_viewable()
    yield pause(DRAWING_SECONDS)
    yield from fill_form(robot, robot.forms[-1], values)
    run = robot.forms[-1].protocol
    robot.click(with_text(robot.forms[-1].root, "Execute"))
    yield lambda: finished(project, run)
    yield pause(DRAWING_SECONDS)
    yield from show_run(robot, run)
    yield from show_results(robot)


def fill_form(robot: Robot, form: Any, values: dict[str, str]) -> Iterator[Callable[[], Any]]:
    robot.click(widgets(form.widgetDict["inputParticles"].btnFrame, tk.Widget)[0])
    yield lambda: tree_with(robot.window.root, "outputParticles")
    yield pause(DRAWING_SECONDS)
    tree, item = tree_with(robot.window.root, "outputParticles")
    robot.click_row(tree, item)
    yield pause(DRAWING_SECONDS)
    robot.click(with_text(tree.winfo_toplevel(), "Select"))
    yield lambda: form.protocol.inputParticles.get() is not None
    yield from draw_mask(robot, form)
    yield from propose_resolution(robot, form)
    for name, value in values.items():
        widget = form.widgetDict[name]
        if not widget.content.winfo_viewable():
            section = next(s for s in form.protocol.iterDefinitionSections() if name in s._paramList)
            robot.click_tab(form.root, section.getLabel())
            yield lambda widget=widget: widget.content.winfo_viewable()
            yield pause(DRAWING_SECONDS)
        robot.type(widgets(widget.content, tk.Entry)[0], value)
        yield lambda widget=widget, value=value: str(widget.get()) == value
    for tab, name in (("Alignment", "form_alignment"), ("Classification", "form_classification"), ("Input", "form")):
        robot.click_tab(form.root, tab)
        yield pause(DRAWING_SECONDS)
        robot.away()
        yield pause(DRAWING_SECONDS)
        robot.picture(name, "Protocol Run")


def draw_mask(robot: Robot, form: Any) -> Iterator[Callable[[], Any]]:
    """Let the wizard give the mask's diameter: it begins with the whole box, and the wheel makes it smaller."""
    widget, before = form.widgetDict["maskDiameter"], str(form.widgetDict["maskDiameter"].get())
    robot.click(widgets(widget.btnFrame, tk.Widget)[0])
    yield lambda: titled(robot.window.root, "Wizard")
    yield pause(2 * DRAWING_SECONDS)
    image = max(widgets(titled(robot.window.root, "Wizard"), tk.Canvas), key=lambda canvas: canvas.winfo_height())
    robot.click(image, MASK_SMALLER_PX, WHEEL_DOWN)
    yield pause(DRAWING_SECONDS)
    robot.picture("mask_wizard", "Wizard")
    robot.click(with_text(titled(robot.window.root, "Wizard"), "Select"))
    yield lambda: str(widget.get()) != before


def propose_resolution(robot: Robot, form: Any) -> Iterator[Callable[[], Any]]:
    """Let the wizard set the resolution limit, which it explains."""
    widget, before = form.widgetDict["resolution"], str(form.widgetDict["resolution"].get())
    robot.click_tab(form.root, "Input")
    yield lambda: widget.content.winfo_viewable()
    yield pause(DRAWING_SECONDS)
    robot.click(widgets(widget.btnFrame, tk.Widget)[0])
    yield lambda: titled(robot.window.root, "Resolution limit")
    yield pause(DRAWING_SECONDS)
    assert str(widget.get()) != before
    robot.picture("resolution_wizard", "Resolution limit")
    robot.click(with_text(titled(robot.window.root, "Resolution limit"), "OK"))
    yield lambda: titled(robot.window.root, "Resolution limit") is None


def known_runs(project: Any) -> list[Any]:
    """The project's runs by now; what has failed is an error.

    Scipion calls a run failed whose process has ended between two looks at it: its own database says how it ended.
    """
    from pyworkflow.protocol import getProtocolFromDb

    runs = []
    for run in project.getRuns(refresh=True):
        if run.isFailed():
            run = getProtocolFromDb(project.path, run.getDbPath(), run.getObjId())
            run.setProject(project)
            if run.isFailed():
                raise RuntimeError(run.getErrorMessage())
        runs.append(run)
    return runs


def finished(project: Any, run: Any) -> bool:
    return any(one.isFinished() for one in known_runs(project) if one.getObjId() == run.getObjId())


def show_run(robot: Robot, run: Any) -> Iterator[Callable[[], Any]]:
    """Select the run in the graph, and see its summary."""
    view = robot.window.getViewWidget()
    view.refreshRuns()
    yield pause(DRAWING_SECONDS)
    canvas = view.runsGraphCanvas
    box = next(
        i
        for i in canvas.items.values()
        if getattr(getattr(i, "node", None), "run", None) is not None and i.node.run.getObjId() == run.getObjId()
    )
    left, top, right, bottom = box.getCorners()
    x, y = (left + right) / 2 - canvas.canvasx(0), (top + bottom) / 2 - canvas.canvasy(0)
    robot.click_at(canvas.winfo_rootx() + x, canvas.winfo_rooty() + y)
    yield lambda: with_text(robot.window.root, "Analyze results")
    robot.away()
    yield pause(2 * DRAWING_SECONDS)
    robot.picture("project")


def show_results(robot: Robot) -> Iterator[Callable[[], Any]]:
    """One click opens the gallery, where classes are chosen by mouse and keys; then all else that it offers."""
    robot.click(with_text(robot.window.root, "Analyze results"))
    yield lambda: robot.results and robot.windows(RESULTS)
    yield pause(2 * DRAWING_SECONDS)
    page = robot.results[-1]
    good = {tile.number for tile in page.gallery.tiles if tile.verdict == "good"}
    assert good, "no class is good"
    assert page.choice.numbers == good
    robot.away()
    robot.picture("classes", RESULTS)
    yield from choose(robot, page, good)
    yield from make_subset(robot, page, good)
    yield from subdivide(robot, page, good)
    for button, title, picture in OPENED:
        robot.raise_window(page)
        yield pause(DRAWING_SECONDS)
        robot.click(with_text(page.root, button))
        yield lambda title=title: robot.windows(title)
        yield pause(4 * DRAWING_SECONDS)
        robot.away()
        robot.picture(picture, title)


def choose(robot: Robot, page: Any, good: set[int]) -> Iterator[Callable[[], Any]]:
    """Click a good class away, with shift the first three of the page, and by keys all, none and the good ones."""
    gallery, canvas = page.gallery, page.gallery.canvas

    def click(number: int) -> None:
        x, y = gallery.place(number)
        robot.click_at(canvas.winfo_rootx() + x + 20, canvas.winfo_rooty() + y + 20)

    first, *_ = shown = [tile.number for tile in gallery.shown()]
    click(first)
    yield lambda: page.choice.numbers == good - {first}
    subprocess.run(["xdotool", "keydown", "shift"], check=True)
    click(shown[2])
    subprocess.run(["xdotool", "keyup", "shift"], check=True)
    yield lambda: page.choice.numbers == good - set(shown[:3])
    yield pause(DRAWING_SECONDS)
    robot.picture("chosen", RESULTS)
    for key, expected in (("a", set(shown)), ("n", set()), ("Home space", {first}), ("Right space", set(shown[:2]))):
        subprocess.run(["xdotool", "key", *key.split()], check=True)
        yield lambda expected=expected: page.choice.numbers == expected
    subprocess.run(["xdotool", "key", "ctrl+z"], check=True)
    yield lambda: page.choice.numbers == {first}
    yield from choose_by_limits(robot, page)
    subprocess.run(["xdotool", "key", "g"], check=True)
    yield lambda: page.choice.numbers == good


def choose_by_limits(robot: Robot, page: Any) -> Iterator[Callable[[], Any]]:
    """The classes that are larger than the smallest one."""
    robot.click(with_text(page.root, "Limits"))
    yield lambda: with_text(page.root, "particles, at least")
    yield pause(DRAWING_SECONDS)
    sizes = {tile.number: tile.size for tile in page.gallery.tiles}
    wanted = {number for number, size in sizes.items() if size > min(sizes.values())}
    robot.type(page._limits.fields["particles"], str(min(sizes.values()) + 1))
    yield lambda: with_text(page.root, f"Choose {len(wanted)} {'class' if len(wanted) == 1 else 'classes'}")
    robot.picture("limits", RESULTS)
    subprocess.run(["xdotool", "key", "Return"], check=True)
    yield lambda: page.choice.numbers == wanted
    robot.click(with_text(page.root, "Limits"))
    yield lambda: not page._limits.winfo_ismapped()


def make_subset(robot: Robot, page: Any, good: set[int]) -> Iterator[Callable[[], Any]]:
    """The particles of the good classes become a set of their own."""
    project, expected = robot.window.project, page.choice.particles()[0]
    robot.click(with_text(page.root, "Particles"))

    def made() -> list[Any]:
        return [run for run in known_runs(project) if run.getClassName() == "ProtUserSubSet" and run.isFinished()]

    yield made
    run = made()[0]
    ((_, particles),) = run.iterOutputAttributes()
    assert particles.getClassName() == "SetOfParticles"
    assert particles.getSize() == expected


def subdivide(robot: Robot, page: Any, good: set[int]) -> Iterator[Callable[[], Any]]:
    """The form that classifies the good classes again opens, with their numbers in it."""
    opened = len(robot.forms)
    robot.raise_window(page)
    robot.click(with_text(page.root, "Subdivide"))
    yield lambda: len(robot.forms) > opened and robot.forms[-1].root.winfo_viewable()
    yield pause(DRAWING_SECONDS)
    form = robot.forms[-1]
    assert form.protocol.inputClasses.get().getClassName() == "SetOfClasses2D"
    assert str(form.widgetDict["chosen"].get()) == ",".join(map(str, sorted(good)))
    robot.away()
    yield pause(DRAWING_SECONDS)
    robot.picture("subdivide", form.root.title())
    form.close()
    yield pause(DRAWING_SECONDS)


def stream_session(robot: Robot, values: dict[str, str]) -> Iterator[Callable[[], Any]]:
    """A stream that waits for more particles: its monitor, a figure saved, classes chosen and delivered, twice."""
    from pwem import Domain

    project, names = robot.window.project, Domain.getProtocols()
    importing = next(run for run in project.getRuns() if run.getClassName() == "ProtImportParticles")
    emitting = project.newProtocol(names["ProtEmitParticles"], portions=8, pause=1.0)
    emitting.inputParticles.set(importing)
    emitting.inputParticles.setExtended("outputParticles")
    project.launchProtocol(emitting)
    yield lambda: hasattr(current(project, emitting), "outputParticles")
    emitting = current(project, emitting)
    run = project.newProtocol(
        names["ProtAlignPCA2D"], binThreads=1, useGpu=False, streamingSleepOnWait=1, maxWait=5, objLabel="stream"
    )
    for name, value in values.items():
        run.setAttributeValue(name, float(value) if "." in value else int(value))
    run.inputParticles.set(emitting)
    run.inputParticles.setExtended("outputParticles")
    run.inputMicrographs.set(next(one for one in project.getRuns() if hasattr(one, "outputMicrographs")))
    run.inputMicrographs.setExtended("outputMicrographs")
    hold = Path(emitting._getExtraPath("hold"))
    project.launchProtocol(run)
    yield lambda: len(look(current(project, emitting).outputParticles)[1]) >= SOME_PARTICLES
    hold.touch()
    yield lambda: hasattr(current(project, run), "outputClasses")
    yield from show_run(robot, current(project, run))
    robot.click(with_text(robot.window.root, "Analyze results"))
    yield lambda: robot.results and robot.windows(RESULTS)
    yield pause(2 * DRAWING_SECONDS)
    robot.click(with_text(robot.results[-1].root, "Monitor"))
    yield lambda: len(robot.results) > 1 and robot.windows("Monitor of")
    yield pause(4 * DRAWING_SECONDS)
    monitor = robot.results[-1]
    robot.away()
    robot.picture("monitor", "Monitor of")
    yield from save_figure(robot, monitor.chart, robot.pictures / "saved.png")
    yield from deliver(robot, monitor, project, run, hold)
    hold.unlink()
    yield lambda: finished(project, run)
    yield lambda: [tile.verdict for tile in monitor.gallery.tiles] == verdicts_of(run)
    robot.click(with_text(monitor.root, "Good"))
    robot.away()
    yield pause(4 * DRAWING_SECONDS)
    robot.picture("monitor_end", "Monitor of")
    robot.click(with_text(monitor.root, "Deliver while it runs"))
    yield lambda: robot.windows("Deliver")
    yield pause(DRAWING_SECONDS)
    subprocess.run(["xdotool", "key", "Return"], check=True)
    yield lambda: not robot.windows("Deliver")
    delivered = json.loads(Path(run._getExtraPath("selection.json")).read_text())["version"]
    assert delivered == 2, "a choice was taken after the end"


def verdicts_of(run: Any) -> list[str]:
    """As the program says them, in the order of the classes' numbers, of those that have particles."""
    figures = json.loads(Path(run._getExtraPath("summary.json")).read_text())["classes"]
    return [verdict for verdict, size in zip(figures["verdict"], figures["size"], strict=True) if size]


def look(particles: Any) -> tuple[bool, set[int]]:
    from alignpca2d_plugin.growing_input import look

    return look(particles)


def current(project: Any, run: Any) -> Any:
    """A run as the project knows it by now; what has failed is an error."""
    return next(one for one in known_runs(project) if one.getObjId() == run.getObjId())


def save_figure(robot: Robot, chart: Any, path: Path) -> Iterator[Callable[[], Any]]:
    robot.click(chart.toolbar._buttons["Save"])
    yield lambda: robot.windows("Save the figure")
    yield pause(DRAWING_SECONDS)
    subprocess.run(["xdotool", "key", "ctrl+slash", "type", str(path)], check=True)
    subprocess.run(["xdotool", "key", "Return"], check=True)
    yield path.exists


def deliver(robot: Robot, monitor: Any, project: Any, run: Any, hold: Path) -> Iterator[Callable[[], Any]]:
    """The largest class alone, whose particles appear at once and grow; then all the others, which make another set."""
    number = monitor.gallery.shown()[0].number
    subprocess.run(["xdotool", "windowfocus", "--sync", robot.windows("Monitor of")[-1]], check=True)
    monitor.gallery.canvas.focus_set()
    yield pause(DRAWING_SECONDS)
    subprocess.run(["xdotool", "key", "n", "Home", "space"], check=True)
    yield lambda: monitor.choice.numbers == {number}
    first, size = monitor.choice.numbers, monitor.choice.particles()[0]
    robot.click(with_text(monitor.root, "Deliver while it runs"))
    yield lambda: hasattr(current(project, run), "outputParticles")
    particles = current(project, run).outputParticles
    assert particles.isStreamOpen()
    assert particles.getSize() == size, (particles.getSize(), size)
    hold.unlink()
    yield lambda: current(project, run).outputParticles.getSize() > size
    hold.touch()
    robot.click(with_text(monitor.root, "Inverse"))
    yield lambda: monitor.choice.numbers == {tile.number for tile in monitor.gallery.tiles} - first
    others = monitor.choice.numbers
    subprocess.run(["xdotool", "key", "ctrl+z"], check=True)
    yield lambda: monitor.choice.numbers == first
    robot.click(with_text(monitor.root, "Inverse"))
    yield lambda: monitor.choice.numbers == others
    robot.click(with_text(monitor.root, "Deliver while it runs"))
    yield lambda: hasattr(current(project, run), "outputParticles2")
    after = current(project, run)
    assert after.outputParticles.isStreamClosed()
    assert after.outputParticles2.isStreamOpen()
    chosen = {"first": sorted(first), "others": sorted(others), "closed with": after.outputParticles.getSize()}
    (robot.pictures / "chosen.json").write_text(json.dumps(chosen))


def main(project: str, pictures: str, *words: str) -> None:
    from pyworkflow import Config
    from pyworkflow.gui.project import ProjectWindow

    from pyworkflow.gui import form  # isort: skip - it can only be imported after the project's windows

    Config.getDomain().getPlugins()
    from alignpca2d_plugin.viewers import results_window

    window = ProjectWindow(project)
    robot = Robot(window, Path(pictures))
    built = form.FormWindow._createGUI

    def remember(self: Any) -> None:
        built(self)
        robot.forms.append(self)

    form.FormWindow._createGUI = remember
    made = results_window.ResultsWindow.__init__

    def remember_results(self: Any, *arguments: Any) -> None:
        made(self, *arguments)
        robot.results.append(self)

    results_window.ResultsWindow.__init__ = remember_results
    script = stream_session if STREAM in words else session
    robot.start(script(robot, dict(word.split("=", 1) for word in words if word != STREAM)))
    window.show()


if __name__ == "__main__":
    main(*sys.argv[1:])
