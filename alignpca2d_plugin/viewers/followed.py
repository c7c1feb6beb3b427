"""Parts of windows that follow files: what they show is renewed when the file changes."""

import os
import tkinter as tk

from PIL import Image, ImageTk

REFRESH_MS = 2000
SHARE_OF_SCREEN = 0.8
SMALLEST_SCALE = 0.5


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
            pass  # being written anew, or removed with its protocol: what was shown stays
        self._widget.after(REFRESH_MS, self._look)


class Picture(tk.Frame):
    """A picture reduced to fit into its share of the screen, but to no less than half its size: then it scrolls."""

    def __init__(self, parent, path, share=SHARE_OF_SCREEN):
        tk.Frame.__init__(self, parent)
        self._path, self._share, self._photo = path, share, None
        self._canvas = tk.Canvas(self, background="black", highlightthickness=0)
        down = tk.Scrollbar(self, orient=tk.VERTICAL, command=self._canvas.yview)
        across = tk.Scrollbar(self, orient=tk.HORIZONTAL, command=self._canvas.xview)
        self._canvas.configure(yscrollcommand=down.set, xscrollcommand=across.set)
        self._canvas.grid(row=0, column=0, sticky="news")
        down.grid(row=0, column=1, sticky="ns")
        across.grid(row=1, column=0, sticky="ew")
        self.rowconfigure(0, weight=1)
        self.columnconfigure(0, weight=1)
        for event, pages in (("<Button-4>", -1), ("<Button-5>", 1)):
            self._canvas.bind(event, lambda _, pages=pages: self._canvas.yview_scroll(pages, "units"))
        Follower(self, path, self._renew)

    def _renew(self):
        with Image.open(self._path) as picture:
            self._draw(picture)

    def _draw(self, picture):
        room = self.winfo_screenwidth() * SHARE_OF_SCREEN, self.winfo_screenheight() * self._share
        scale = max(SMALLEST_SCALE, min(1.0, room[0] / picture.width, room[1] / picture.height))
        size = round(picture.width * scale), round(picture.height * scale)
        first = self._photo is None
        self._photo = ImageTk.PhotoImage(picture.resize(size, Image.LANCZOS), master=self)
        red, green, blue = picture.convert("RGB").getpixel((0, 0))
        self._canvas.configure(background=f"#{red:02x}{green:02x}{blue:02x}")
        self._canvas.delete("all")
        self._canvas.create_image(0, 0, anchor="nw", image=self._photo)
        self._canvas.configure(scrollregion=(0, 0, *size))
        if first:
            self._canvas.configure(width=min(size[0], room[0]), height=min(size[1], room[1]))


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
        from matplotlib.backends.backend_tkagg import FigureCanvasTkAgg
        from matplotlib.figure import Figure

        tk.Frame.__init__(self, parent)
        self._figure, self._drawing = Figure(figsize=inches, dpi=100, layout="constrained"), draw
        self._canvas = FigureCanvasTkAgg(self._figure, master=self)
        self._canvas.get_tk_widget().pack(fill=tk.BOTH, expand=True)
        self._renew()
        Follower(self, path, self._renew)

    def _renew(self):
        self._figure.clear()
        self._drawing(self._figure)
        self._canvas.draw_idle()
