"""A window that shows a picture of class averages and follows its file."""

import os
import tkinter as tk

from PIL import Image, ImageTk
from pyworkflow.gui.gui import Window

REFRESH_MS = 2000
SHARE_OF_SCREEN = 0.8
SMALLEST_SCALE = 0.5


class GalleryWindow(Window):
    """The picture reduced to fit on the screen, but to no less than half its size; then there are scrollbars."""

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
        if not self.root.winfo_exists():
            return
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
        room = self.root.winfo_screenwidth() * SHARE_OF_SCREEN, self.root.winfo_screenheight() * SHARE_OF_SCREEN
        scale = max(SMALLEST_SCALE, min(1.0, room[0] / picture.width, room[1] / picture.height))
        size = round(picture.width * scale), round(picture.height * scale)
        self._photo = ImageTk.PhotoImage(picture.resize(size, Image.LANCZOS), master=self.root)
        self._canvas.delete("all")
        self._canvas.create_image(0, 0, anchor="nw", image=self._photo)
        self._canvas.configure(scrollregion=(0, 0, *size))
        if self._seen is None:
            self._canvas.configure(width=min(size[0], room[0]), height=min(size[1], room[1]))
