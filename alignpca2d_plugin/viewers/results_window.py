"""The page of Analyze results: the gallery to choose from, the report, and what else there is to look at."""

import os
import tkinter as tk
from tkinter import filedialog, messagebox, ttk

from pyworkflow.gui.gui import Window

from ..constants import CLASSES_XMD, SELECTION_JSON, SUMMARY_JSON, VERDICTS
from ..protocols.selection_files import numbers_in, read_selection, save_numbers
from ..results import read_summary
from .followed import Follower
from .gallery import ZOOM, Gallery
from .gallery_content import ORDERS, Choice, caption, read_tiles
from .limits import Limits
from .subsets import KINDS

HINT = (
    "Click a class to choose it or not, shift-click for all between. Arrow keys and space do the same; "
    "g good, a all, n none, Ctrl z undo, i contrast, r report."
)
CHOOSING = {"Good": "good", "All": "everything", "None": "nothing", "Inverse": "inverse", "Undo": "undo"}
"""Buttons, and the methods of the choice that they call."""

RUNNING = "The particles of these classes become an output of the running protocol, which grows with the stream."
STOPPED = "The particles of these classes become an output when the protocol is continued."
FILE_TYPES = [("Choices", "*.json"), ("All files", "*")]


class ResultsWindow(Window):
    """Classes, their choice, and buttons for everything else.

    Parameters
    ----------
    title : str
    masterWindow : Window or None
    protocol : ProtAlignPCA2D
    views : dict of function
        By the label of their button; the first is the report's.
    uses : dict of function of numbers
        What can be made of chosen classes, by the label of its button: the subsets of :data:`KINDS`, and others.  Each
        returns what is to be said of it.
    """

    share_of_screen = 0.75, 0.75

    def __init__(self, title, masterWindow, protocol, views, uses):
        Window.__init__(self, title, masterWindow, minsize=(760, 520))
        self._running = protocol if protocol.isActive() and protocol.getStream().exists() else None
        self._folder = protocol._getExtraPath()
        version, delivered = read_selection(self._folder)
        self.choice = Choice(numbers=delivered if version else None)
        rate = protocol.inputParticles.get().getSamplingRate()
        self._heading, self._chosen, self._pointed = (tk.StringVar(self.root) for _ in range(3))
        self.root.configure(background="white")
        self._views, self._uses = views, uses
        self._build_top()
        above = self._build_above(protocol)
        if above is not None:
            above.grid(row=1, column=0, sticky="ew", padx=8)
        self.gallery = Gallery(
            self.root, self.choice, rate, self._say_choice, lambda tile: self._pointed.set(caption(tile))
        )
        self.gallery.grid(row=2, column=0, sticky="news")
        self._build_bottom()
        self.root.rowconfigure(0, weight=0)
        self.root.rowconfigure(2, weight=1)
        width, height = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
        across, down = self.share_of_screen
        self.root.geometry(f"{int(width * across)}x{int(height * down)}")
        self._bind_keys()
        for followed in (CLASSES_XMD, SUMMARY_JSON):  # verdicts and scores are in the second, which comes later
            Follower(self.root, protocol._getExtraPath(followed), self._renew)
        self.gallery.canvas.focus_set()

    def _build_above(self, protocol):
        """What stands between the heading and the gallery: nothing here."""

    def _build_top(self):
        bar = tk.Frame(self.root, background="white")
        bar.grid(row=0, column=0, sticky="ew", padx=8, pady=6)
        report = next(iter(self._views))
        _button(bar, report, self._views[report], main=True).pack(side=tk.LEFT)
        tk.Label(bar, textvariable=self._heading, background="white").pack(side=tk.LEFT, padx=12)
        for label, action in (("Contrast", lambda: self.gallery.invert()), ("+", self._larger), ("−", self._smaller)):
            _button(bar, label, action).pack(side=tk.RIGHT, padx=2)
        order = ttk.Combobox(bar, values=list(ORDERS), state="readonly", width=11)
        order.set(next(iter(ORDERS)))
        order.bind("<<ComboboxSelected>>", lambda _: self._sort(order))
        order.pack(side=tk.RIGHT, padx=(4, 12))
        tk.Label(bar, text="Sort by", background="white").pack(side=tk.RIGHT)

    def _build_bottom(self):
        choosing, self._limits = self._row(3), Limits(self.root, lambda: self.gallery.tiles, self._choose_numbers)
        tk.Label(choosing, text="Choose", background="white").pack(side=tk.LEFT)
        for label, name in CHOOSING.items():
            _button(choosing, label, lambda name=name: self._choose(name)).pack(side=tk.LEFT, padx=2)
        _button(choosing, "Limits", self._open_limits).pack(side=tk.LEFT, padx=2)
        tk.Label(choosing, textvariable=self._chosen, background="white").pack(side=tk.LEFT, padx=12)
        if self._running is not None:
            _button(choosing, "Deliver while it runs", self._deliver_chosen, main=True).pack(side=tk.RIGHT, padx=2)
        using = self._row(5)
        others = [label for label in self._uses if label not in KINDS]
        for word, labels in (("Make subset of", list(KINDS)), ("or", others)):
            tk.Label(using, text=word, background="white").pack(side=tk.LEFT, padx=2)
            for label in labels:
                _button(using, label, lambda use=label: self._use(use), main=True).pack(side=tk.LEFT, padx=2)
        for label, action in (("Save choice", self._save), ("Load choice", self._load)):
            _button(using, label, action).pack(side=tk.RIGHT, padx=2)
        below = self._row(6)
        for label in list(self._views)[1:]:
            _button(below, label, self._views[label]).pack(side=tk.LEFT, padx=(0, 4))
        self._pointed.set(HINT)
        tk.Label(self._row(7), textvariable=self._pointed, background="white", foreground="#5b626d").pack(side=tk.LEFT)

    def _row(self, number):
        """A row of buttons below the gallery."""
        row = tk.Frame(self.root, background="white")
        row.grid(row=number, column=0, sticky="ew", padx=8, pady=(6, 0))
        return row

    def _bind_keys(self):
        report = self._views[next(iter(self._views))]
        actions = {"g": "good", "a": "everything", "n": "nothing", "Control-z": "undo"}
        for key, name in actions.items():
            self.gallery.canvas.bind(f"<{key}>", lambda _, name=name: self._choose(name))
        self.gallery.canvas.bind("<i>", lambda _: self.gallery.invert())
        self.gallery.canvas.bind("<r>", lambda _: report())

    def _renew(self):
        tiles = read_tiles(self._folder)
        self.choice.follow(tiles)
        verdicts = [tile.verdict for tile in tiles]
        counts = ", ".join(f"{verdicts.count(one)} {one}" for one in VERDICTS if one in verdicts)
        total = sum(tile.size for tile in tiles)
        self._heading.set(f"{total:,} particles in {len(tiles)} classes" + (f": {counts}" if counts else ""))
        self.gallery.show(tiles)
        self._limits.count()
        self._say_choice()

    def _say_choice(self):
        number, share = self.choice.particles()
        noun = "class" if len(self.choice.numbers) == 1 else "classes"
        self._chosen.set(f"{len(self.choice.numbers)} {noun} chosen, {number:,} particles ({100 * share:.0f} %)")

    def _choose(self, name):
        getattr(self.choice, name)()
        self.gallery.arrange()
        self._say_choice()

    def _choose_numbers(self, numbers):
        self.choice.put(numbers)
        self.gallery.arrange()
        self._say_choice()

    def _open_limits(self):
        if self._limits.winfo_ismapped():
            self._limits.grid_remove()
            self.gallery.canvas.focus_set()
        else:
            self._limits.grid(row=4, column=0, sticky="ew", padx=8, pady=(6, 0))
            next(iter(self._limits.fields.values())).focus_set()

    def _sort(self, order):
        self.gallery.sort(order.get())
        self.gallery.canvas.focus_set()

    def _larger(self):
        self.gallery.zoom(ZOOM)

    def _smaller(self):
        self.gallery.zoom(1 / ZOOM)

    def _load(self):
        path = filedialog.askopenfilename(title="Load a choice", filetypes=FILE_TYPES, parent=self.root)
        if path:
            self.load(path)

    def load(self, path):
        """Choose the classes that a selection.json names, as the report saves it."""
        try:
            numbers = numbers_in(path)
        except ValueError as error:
            messagebox.showerror("Load", str(error), parent=self.root)
            return
        self._choose_numbers(numbers)
        absent = sorted(numbers - self.choice.numbers)
        if absent:
            self._pointed.set(f"There is no class {', '.join(map(str, absent))}.")

    def _save(self):
        path = filedialog.asksaveasfilename(
            title="Save the choice", initialfile=SELECTION_JSON, filetypes=FILE_TYPES, parent=self.root
        )
        if path:
            self._written("Save", path, lambda: save_numbers(path, self.choice.numbers))

    def _written(self, title, path, write):
        """Write a choice; whether that could be done.  What was wrong is shown."""
        try:
            write()
        except OSError as error:
            messagebox.showerror(title, f"{path} cannot be written: {error.strerror}.", parent=self.root)
            return False
        return True

    def _deliver_chosen(self):
        if not self.choice.numbers:
            messagebox.showinfo("Deliver", "Choose some classes first.", parent=self.root)
            return
        if read_summary(self._folder).get("stream", {}).get("closed"):
            messagebox.showinfo("Deliver", "The stream has ended: make a subset of particles.", parent=self.root)
            return
        path, numbers = os.path.join(self._folder, SELECTION_JSON), set(self.choice.numbers)
        if self._written("Deliver", path, lambda: self._running.choose(numbers)):
            self._pointed.set(RUNNING if self._is_active() else STOPPED)

    def _is_active(self):
        """Whether the protocol still runs, as the project has it by now: the window may be older than its end."""
        project = self._running.getProject()
        if project is None:
            return self._running.isActive()
        project.mapper.commit()
        return project.getProtocol(self._running.getObjId()).isActive()

    def _use(self, label):
        if not self.choice.numbers:
            messagebox.showinfo(label, "Choose some classes first.", parent=self.root)
            return
        said = self._uses[label](set(self.choice.numbers))
        if said:
            self._pointed.set(said)


def _button(parent, label, action, main=False):
    colours = {"background": "#a32a2a", "foreground": "white", "activebackground": "#c14040"} if main else {}
    return tk.Button(parent, text=label, command=action, takefocus=False, **colours)
