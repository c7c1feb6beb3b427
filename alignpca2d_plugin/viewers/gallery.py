"""A window that shows a picture and follows its file."""

import os
import tkinter as tk

from PIL import Image, ImageTk
from pyworkflow.gui.gui import Window

REFRESH_MS = 2000
SHARE_OF_SCREEN = 0.8


class GalleryWindow(Window):
    """The picture in its own size, with scrollbars where the screen is smaller."""

    def __init__(self, path, title, masterWindow=None):
        Window.__init__(self, title, masterWindow, minsize=(320, 240))
        self._path, self._seen, self._photo = path, None, None
        self._canvas = tk.Canvas(self.root, background="black", highlightthickness=0)
        down = tk.Scrollbar(self.root, orient=tk.VERTICAL, command=self._canvas.yview)
        across = tk.Scrollbar(self.root, orient=tk.HORIZONTAL, command=self._canvas.xview)
        self._canvas.configure(yscrollcommand=down.set, xscrollcommand=across.set)
        self._canvas.grid(row=0, column=0, sticky="news")
        down.grid(row=0, column=1, sticky="ns")
        across.grid(row=1, column=0, sticky="ew")
        for event, pages in (("<Button-4>", -1), ("<Button-5>", 1)):
            self._canvas.bind(event, lambda _, pages=pages: self._canvas.yview_scroll(pages, "units"))
        self._follow()

    def _follow(self):
        try:
            changed = os.stat(self._path).st_mtime_ns
            if changed != self._seen:
                with Image.open(self._path) as picture:
                    self._draw(picture)
                self._seen = changed
        except OSError:
            pass  # being written anew, or removed with its protocol: what was shown stays
        self.root.after(REFRESH_MS, self._follow)

    def _draw(self, picture):
        self._photo = ImageTk.PhotoImage(picture, master=self.root)
        self._canvas.delete("all")
        self._canvas.create_image(0, 0, anchor="nw", image=self._photo)
        self._canvas.configure(scrollregion=(0, 0, *picture.size))
        if self._seen is None:
            screen = self.root.winfo_screenwidth(), self.root.winfo_screenheight()
            width, height = (int(min(p, SHARE_OF_SCREEN * s)) for p, s in zip(picture.size, screen))
            self._canvas.configure(width=width, height=height)
