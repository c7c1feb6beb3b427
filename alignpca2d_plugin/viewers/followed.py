"""Parts of windows that follow files: what they show is renewed when the file changes."""

import os
import tkinter as tk

REFRESH_MS = 2000


class Follower:
    """Calls a function when a file has changed, as long as a widget exists."""

    def __init__(self, widget, path, renew):
        self._widget, self._path, self._renew, self._seen = widget, path, renew, None
        self._look()

    def _look(self):
        if not self._widget.winfo_exists():
            return
        try:
            changed = os.stat(self._path).st_mtime_ns
            if changed != self._seen:
                self._renew()
                self._seen = changed
        except OSError:
            pass  # being rewritten, or removed with its protocol: what was shown stays
        self._widget.after(REFRESH_MS, self._look)


class Chart(tk.Frame):
    """A matplotlib figure that is drawn again when a file changes.

    Parameters
    ----------
    parent : widget
    path : str
        The file that is followed.
    draw : function of a Figure
    inches : (float, float)
    """

    def __init__(self, parent, path, draw, inches):
        from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg, NavigationToolbar2Tk
        from matplotlib.figure import Figure

        tk.Frame.__init__(self, parent)
        self._named = None
        self._figure, self._drawing = Figure(figsize=inches, dpi=100, layout="constrained"), draw
        self._canvas = FigureCanvasTkAgg(self._figure, master=self)
        self.toolbar = NavigationToolbar2Tk(self._canvas, self, pack_toolbar=False)  # zooms, and saves figures
        self.toolbar.pack(side=tk.BOTTOM, fill=tk.X)
        self._canvas.get_tk_widget().pack(fill=tk.BOTH, expand=True)
        self._canvas.mpl_connect("motion_notify_event", self._point)
        self._renew()
        Follower(self, path, self._renew)

    def _renew(self):
        self._figure.clear()
        self._drawing(self._figure)
        self._named = None
        self._canvas.draw_idle()

    def _point(self, event):
        """Name the curve under the pointer, where it has a name."""
        lines = event.inaxes.lines if event.inaxes else ()
        line = next((one for one in lines if one.get_gid() and one.contains(event)[0]), None)
        if self._named is not None:
            self._named.remove()
            self._named = None
        if line is not None:
            about = {"xytext": (10, 10), "textcoords": "offset points", "bbox": {"boxstyle": "round", "fc": "white"}}
            self._named = event.inaxes.annotate(line.get_gid(), (event.xdata, event.ydata), zorder=10, **about)
        self._canvas.draw_idle()
