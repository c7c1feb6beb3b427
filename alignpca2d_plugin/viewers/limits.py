"""A row of fields that choose classes by limits: particles, resolution, score and verdict."""

import tkinter as tk
from tkinter import ttk

from ..constants import VERDICTS
from .gallery_content import within

NUMBERS = {"particles": "particles, at least", "resolution": "resolution, at most Å", "score": "score, at least"}
VERDICT_LIMITS = {"any": VERDICTS, "good or doubtful": VERDICTS[:2], "good": VERDICTS[:1]}


class Limits(tk.Frame):
    """Fields that say how many classes miss none of them, and a button that chooses those.

    Parameters
    ----------
    parent : widget
    tiles : function
        Gives the classes as they are now.
    choose : function of numbers
    """

    def __init__(self, parent, tiles, choose):
        tk.Frame.__init__(self, parent, background="white")
        self._tiles, self._choose = tiles, choose
        self.fields, self.verdict = {}, tk.StringVar(self, next(iter(VERDICT_LIMITS)))
        for name, text in NUMBERS.items():
            value = tk.StringVar(self)
            tk.Label(self, text=text, background="white").pack(side=tk.LEFT)
            self.fields[name] = entry = tk.Entry(self, textvariable=value, width=7)
            entry.pack(side=tk.LEFT, padx=(4, 12))
            entry.bind("<Return>", lambda _: self.choose())
            entry.value = value
            value.trace_add("write", lambda *_: self.count())
        tk.Label(self, text="verdict", background="white").pack(side=tk.LEFT)
        box = ttk.Combobox(self, textvariable=self.verdict, values=list(VERDICT_LIMITS), state="readonly", width=15)
        box.pack(side=tk.LEFT, padx=(4, 12))
        self.verdict.trace_add("write", lambda *_: self.count())
        self.button = tk.Button(self, command=self.choose, takefocus=False)
        self.button.pack(side=tk.LEFT)
        self.count()

    def within(self):
        """The numbers of the classes that miss no limit; a field that holds no number is no limit."""
        limits = {name: _number(entry.value.get()) for name, entry in self.fields.items()}
        return within(self._tiles(), **limits, verdicts=VERDICT_LIMITS[self.verdict.get()])

    def count(self):
        """Say how many these are now."""
        number = len(self.within())
        self.button.configure(text=f"Choose {number} {'class' if number == 1 else 'classes'}")

    def choose(self):
        self._choose(self.within())


def _number(text):
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
