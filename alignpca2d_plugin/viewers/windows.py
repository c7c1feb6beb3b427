"""The windows of Analyze results that are our own: the page of the classes, a chart, and the monitor of a stream."""

import tkinter as tk

import pyworkflow.viewer as pwviewer
from pyworkflow.gui.gui import Window

from . import charts
from .followed import Chart, Follower, Picture
from .results_window import ResultsWindow

CHART_INCHES, MONITOR_INCHES = (8.5, 5.5), (10.5, 2.9)
MONITOR_PICTURE_SHARE = 0.42

__all__ = ["ChartWindow", "MonitorWindow", "OwnView", "ResultsWindow"]


class ChartWindow(Window):
    """One chart that follows the core's summary."""

    def __init__(self, title, masterWindow, path, draw):
        Window.__init__(self, title, masterWindow, minsize=(480, 320))
        Chart(self.root, path, draw, CHART_INCHES).grid(row=0, column=0, sticky="news")


class MonitorWindow(Window):
    """What a protocol says of itself, its batches over time, and its gallery."""

    def __init__(self, title, masterWindow, protocol, read):
        Window.__init__(self, title, masterWindow, minsize=(640, 480))
        self._protocol = protocol
        self._text = tk.StringVar(self.root)
        tk.Label(self.root, textvariable=self._text, justify=tk.LEFT, anchor="w", background="white").grid(
            row=0, column=0, sticky="ew"
        )
        path = protocol._getExtraPath("summary.json")
        chart = Chart(self.root, path, lambda figure: charts.batches(figure, read()), MONITOR_INCHES)
        chart.grid(row=1, column=0, sticky="news")
        Picture(self.root, protocol.getGallery(), MONITOR_PICTURE_SHARE).grid(row=2, column=0, sticky="news")
        self.root.rowconfigure(0, weight=0)
        self.root.rowconfigure(1, weight=0)
        self.root.rowconfigure(2, weight=1)
        Follower(self.root, protocol.getStream().progress_file(), self._say)
        Follower(self.root, path, self._say)

    def _say(self):
        self._text.set("\n".join(line.replace("*", "") for line in self._protocol.progressLines()))


class OwnView(pwviewer.View):
    """One of these windows as a view of Scipion's.

    Parameters
    ----------
    kind : class
    title : str
    parent : Window or None
    arguments
        Of the window, after its parent.
    """

    def __init__(self, kind, title, parent, *arguments):
        super().__init__()
        self._kind, self._title, self._parent, self._arguments = kind, title, parent, arguments

    def show(self):
        window = self._kind(self._title, self._parent, *self._arguments)
        if self._parent is None:
            window.show(center=False)
        else:
            window.root.deiconify()  # show() would enter another loop inside that of Scipion's windows
            window.root.lift()
