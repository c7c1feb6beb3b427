"""The windows of Analyze results that are our own: the page of the classes, a chart, and the monitor of a stream."""

import tkinter as tk

import pyworkflow.viewer as pwviewer
from pyworkflow.gui.gui import Window

from ..constants import SUMMARY_JSON
from ..protocols import session
from ..results import read_summary
from .followed import Chart, Follower
from .results_window import ResultsWindow
from .session_chart import ALERT, session_chart

CHART_INCHES, MONITOR_INCHES = (8.5, 5.5), (11.0, 3.6)

__all__ = ["ChartWindow", "MonitorWindow", "OwnView", "ResultsWindow"]


class ChartWindow(Window):
    """One chart that follows the core's summary."""

    def __init__(self, title, masterWindow, path, draw):
        Window.__init__(self, title, masterWindow, minsize=(480, 320))
        Chart(self.root, path, draw, CHART_INCHES).grid(row=0, column=0, sticky="news")


class MonitorWindow(ResultsWindow):
    """What a protocol says of itself and how its stream goes, above the classes, which can be chosen while it runs."""

    share_of_screen = 0.8, 0.94

    def _build_above(self, protocol):
        said = tk.Frame(self.root, background="white")
        self._protocol, self._text, self._alert = protocol, tk.StringVar(self.root), tk.StringVar(self.root)
        tk.Label(said, textvariable=self._text, justify=tk.LEFT, anchor="w", background="white").pack(fill=tk.X)
        self._warning = tk.Label(said, textvariable=self._alert, background=ALERT, foreground="white", anchor="w")
        path = protocol._getExtraPath(SUMMARY_JSON)
        self.chart = Chart(said, path, self._draw, MONITOR_INCHES)
        self.chart.pack(fill=tk.BOTH, expand=True)
        for followed in (protocol.getStream().progress_file(), path):
            Follower(self.root, followed, self._say)
        return said

    def _summary(self):
        return read_summary(self._folder)

    def _draw(self, figure):
        session_chart(figure, self._summary(), session.arrivals(self._protocol.getStream().found_over_time()))

    def _say(self):
        history = session.moments(self._summary())
        found = session.arrivals(self._protocol.getStream().found_over_time())
        lines = session.lines(history, found) or self._protocol.progressLines()
        self._text.set("\n".join(line.replace("*", "") for line in lines))
        self._alert.set(session.alert(history))
        if self._alert.get():
            self._warning.pack(fill=tk.X, before=self.chart, ipady=4)
        else:
            self._warning.pack_forget()


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
