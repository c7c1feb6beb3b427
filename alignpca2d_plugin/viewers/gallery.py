"""The gallery: class averages to look at and to choose from, on a Tk canvas."""

import tkinter as tk
from tkinter import font as tkfont

from PIL import Image, ImageTk

from ..constants import VERDICTS
from .gallery_content import ORDERS, scale_bar

BACKGROUND, TEXT, FAINT, NUMBER, CURSOR, MARK = "#15171a", "#d0d3d8", "#7b838f", "#8ab4f8", "#ffffff", "#1a73e8"
FRAMES = dict(zip(VERDICTS, ("#63c787", "#e0b04c", "#8a4641")))
"""As in the report's dark colours."""
SMALLEST_PX, LEAST_FITTED_PX, LARGEST_PX, ZOOM = 72, 112, 256, 1.25
GAP_PX, FRAME_PX = 12, 4
DIMMED = 0.35


class Gallery(tk.Frame):
    """Averages with number, size, resolution, verdict and scale bar; the chosen ones are bright and have a mark.

    Parameters
    ----------
    parent : widget
    choice : Choice
        Changed by clicks and keys.
    sampling_rate : float
        Å/px, for the scale bar.
    changed : function
        Called when the choice has changed.
    pointed : function of a Tile
        Called when the cursor is at another class.
    """

    def __init__(self, parent, choice, sampling_rate, changed, pointed):
        tk.Frame.__init__(self, parent)
        self.choice, self._rate, self._changed, self._pointed = choice, sampling_rate, changed, pointed
        self.tiles, self.order, self.cursor, self.inverted = [], "Verdict", None, False
        self.side, self._zoomed = LEAST_FITTED_PX, False
        self._photos, self._columns = {}, 1
        self.canvas = tk.Canvas(self, background=BACKGROUND, highlightthickness=0, takefocus=True)
        scroll = tk.Scrollbar(self, orient=tk.VERTICAL, command=self.canvas.yview)
        self.canvas.configure(yscrollcommand=scroll.set)
        self.canvas.grid(row=0, column=0, sticky="news")
        scroll.grid(row=0, column=1, sticky="ns")
        self.rowconfigure(0, weight=1)
        self.columnconfigure(0, weight=1)
        self._font = tkfont.Font(family="DejaVu Sans", size=-12)
        self._bind()

    def _bind(self):
        canvas = self.canvas
        canvas.bind("<Configure>", lambda _: self.arrange())
        canvas.bind("<Button-1>", lambda event: self._click(event, False))
        canvas.bind("<Shift-Button-1>", lambda event: self._click(event, True))
        for event, pages in (("<Button-4>", -1), ("<Button-5>", 1)):
            canvas.bind(event, lambda _, pages=pages: canvas.yview_scroll(pages, "units"))
        for key, step in (
            ("Left", -1),
            ("Right", 1),
            ("Home", "first"),
            ("End", "last"),
            ("Up", "up"),
            ("Down", "down"),
        ):
            canvas.bind(f"<{key}>", lambda _, step=step: self._move(step))
        canvas.bind("<space>", lambda _: self._toggle(self.cursor))

    def show(self, tiles):
        """Show these classes; cursor and choice stay with their numbers."""
        self.tiles, self._photos = tiles, {}
        if self.cursor not in {tile.number for tile in tiles}:
            self.cursor = None
        self.arrange()

    def sort(self, order):
        self.order = order
        self.arrange()
        self.canvas.yview_moveto(0)

    def zoom(self, factor):
        self.side, self._zoomed = int(min(max(self.side * factor, SMALLEST_PX), LARGEST_PX)), True
        self._photos = {}
        self.arrange()

    def invert(self):
        """White or black protein."""
        self.inverted, self._photos = not self.inverted, {}
        self.arrange()

    def shown(self):
        """The classes in the order that they stand in."""
        return sorted(self.tiles, key=ORDERS[self.order])

    def place(self, number):
        """Left and top of the picture of a class on the canvas."""
        at = [tile.number for tile in self.shown()].index(number)
        row, column = divmod(at, self._columns)
        return GAP_PX + column * self._pitch()[0], GAP_PX + row * self._pitch()[1]

    def arrange(self):
        """Redraw everything."""
        canvas, tiles = self.canvas, self.shown()
        canvas.delete("all")
        if not tiles:
            text = "There are no classes yet."
            canvas.create_text(20, 20, text=text, fill=TEXT, anchor="nw", font=self._font)
            return
        if not self._zoomed and self.side != self._fitting(len(tiles)):
            self.side, self._photos = self._fitting(len(tiles)), {}
        across, down = self._pitch()
        self._columns = max(1, (canvas.winfo_width() - GAP_PX) // across)
        for at, tile in enumerate(tiles):
            row, column = divmod(at, self._columns)
            self._draw(tile, GAP_PX + column * across, GAP_PX + row * down)
        rows = -(-len(tiles) // self._columns)
        canvas.configure(scrollregion=(0, 0, canvas.winfo_width(), GAP_PX + rows * down), yscrollincrement=down // 3)

    def _pitch(self, side=None):
        side = side or self.side
        return side + GAP_PX, side + GAP_PX + self._font.metrics("linespace") + 6

    def _fitting(self, number):
        """The side with which so many classes fit into the window, as far as they can be told apart then."""
        width, height = self.canvas.winfo_width() - GAP_PX, self.canvas.winfo_height() - GAP_PX
        for side in range(LARGEST_PX, LEAST_FITTED_PX, -8):
            across, down = self._pitch(side)
            columns = width // across
            if columns and -(-number // columns) * down <= height:
                return side
        return LEAST_FITTED_PX

    def _draw(self, tile, x, y):
        """One class, under a tag of its own."""
        canvas, side, tag = self.canvas, self.side, f"class{tile.number}"
        chosen = tile.number in self.choice.numbers
        canvas.delete(tag)
        canvas.create_image(x, y, anchor="nw", image=self._photo(tile, chosen), tags=tag)
        half = FRAME_PX // 2
        box = (x - half, y - half, x + side + half - 1, y + side + half - 1)
        canvas.create_rectangle(*box, outline=FRAMES.get(tile.verdict, FAINT), width=FRAME_PX, tags=tag)
        if tile.number == self.cursor:
            outer = (x - 6, y - 6, x + side + 5, y + side + 5)
            canvas.create_rectangle(*outer, outline=CURSOR, width=2, dash=(4, 3), tags=tag)
        self._draw_bar(tile, x, y, tag)
        if chosen:
            self._draw_mark(x + side - 22, y + 6, tag)
        line, ink = y + side + 6, TEXT if chosen else FAINT
        about = {"anchor": "nw", "font": self._font, "tags": tag}
        canvas.create_text(x, line, text=str(tile.number), fill=NUMBER if chosen else FAINT, **about)
        canvas.create_text(x + side, line, text=f"{tile.resolution:.1f} Å", fill=ink, **dict(about, anchor="ne"))
        canvas.create_text(x + side * 0.45, line, text=f"{tile.size:,}", fill=ink, **dict(about, anchor="n"))

    def _draw_bar(self, tile, x, y, tag):
        if not self._rate:
            return
        whole = len(tile.image) * self._rate
        length = scale_bar(whole)
        left, right, line = x + 8, x + 8 + self.side * length / whole, y + self.side - 8
        ink = "black" if self.inverted else "white"
        self.canvas.create_line(left, line, right, line, fill=ink, width=2, tags=tag)
        middle = (left + right) / 2
        self.canvas.create_text(
            middle, line - 3, text=f"{length:g} Å", fill=ink, anchor="s", tags=tag, font=("DejaVu Sans", -10)
        )

    def _draw_mark(self, x, y, tag):
        self.canvas.create_oval(x, y, x + 16, y + 16, fill=MARK, outline="white", tags=tag)
        self.canvas.create_line(x + 4, y + 8, x + 7, y + 12, x + 12, y + 5, fill="white", width=2, tags=tag)

    def _photo(self, tile, chosen):
        key = tile.number, chosen
        if key not in self._photos:
            picture = Image.fromarray(255 - tile.image if self.inverted else tile.image)
            picture = picture.resize((self.side, self.side), Image.BICUBIC)
            if not chosen:
                picture = picture.point(lambda value: int(value * DIMMED))
            self._photos[key] = ImageTk.PhotoImage(picture, master=self)
        return self._photos[key]

    def _at(self, event):
        """The number of the class at the pointer, or None."""
        x, y = self.canvas.canvasx(event.x) - GAP_PX / 2, self.canvas.canvasy(event.y) - GAP_PX / 2
        column, row = int(x // self._pitch()[0]), int(y // self._pitch()[1])
        at, tiles = row * self._columns + column, self.shown()
        inside = 0 <= column < self._columns and y >= 0 and 0 <= at < len(tiles)
        return tiles[at].number if inside else None

    def _click(self, event, further):
        """Choose or not; with shift, all from the cursor to here become what the cursor's class is."""
        self.canvas.focus_set()
        number = self._at(event)
        if number is None:
            return
        if further and self.cursor is not None:
            numbers = [tile.number for tile in self.shown()]
            first, last = sorted((numbers.index(self.cursor), numbers.index(number)))
            span, chosen = set(numbers[first : last + 1]), self.cursor in self.choice.numbers
            self.choice.put(self.choice.numbers | span if chosen else self.choice.numbers - span)
            self.arrange()
            self._changed()
            return
        self._go(number)
        self._toggle(number)

    def _toggle(self, number):
        if number is None:
            return
        self.choice.toggle(number)
        self._redraw(number)
        self._changed()

    def _go(self, number):
        before, self.cursor = self.cursor, number
        for one in {before, number} - {None}:
            self._redraw(one)
        self._pointed(next(tile for tile in self.tiles if tile.number == number))

    def _redraw(self, number):
        self._draw(next(tile for tile in self.tiles if tile.number == number), *self.place(number))

    def _move(self, step):
        numbers = [tile.number for tile in self.shown()]
        if not numbers:
            return
        at, last = (numbers.index(self.cursor) if self.cursor is not None else None), len(numbers) - 1
        steps = {"up": -self._columns, "down": self._columns, "first": -last, "last": last}
        at = 0 if at is None else at + steps.get(step, step)
        self._go(numbers[min(max(at, 0), last)])
        self._scroll_to(self.cursor)

    def _scroll_to(self, number):
        """Bring a class into view."""
        top, whole = self.place(number)[1] - GAP_PX, float(self.canvas.cget("scrollregion").split()[3])
        height, down = self.canvas.winfo_height(), self._pitch()[1]
        seen = self.canvas.canvasy(0)
        if top < seen or top + down > seen + height:
            self.canvas.yview_moveto(max(top - (height - down) / 2, 0) / whole)
