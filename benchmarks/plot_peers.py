"""Accuracy against cost, ours and the peers': the plot in docs/benchmarks, from the table ``peers.csv`` beside it.

Run from the root of the checkout: ``python benchmarks/plot_peers.py [PICTURE]``.  The table names the command that
made each figure; a new measurement changes it there.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

TABLE = Path(__file__).with_name("peers.csv")
PICTURE = Path("docs/images/accuracy_cost.png")
COLOURS = {"ours": "tab:red"}
PEERS = ("tab:blue", "tab:green", "tab:purple", "tab:brown", "tab:olive")
MARKERS = "osD^v"


def plot(table: pd.DataFrame) -> Figure:
    """Purity of each run over its CPU milliseconds a particle: a colour for a program, a marker for a set."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    peers = [name for name in table["program"].unique() if name not in COLOURS]
    colours = COLOURS | dict(zip(peers, PEERS, strict=False))
    markers = dict(zip(table["set"].unique(), MARKERS, strict=False))
    for (program, kind), runs in table.groupby(["program", "set"], sort=False):
        cost = 1e3 * runs["cpu_s"] / runs["particles"]
        axes.scatter(cost, runs["purity"], c=colours[program], marker=markers[kind], s=55, alpha=0.8, lw=0)
    axes.set(xscale="log", xlabel="CPU time per particle (ms)", ylabel="purity (share in the class of its view)")
    axes.set_ylim(min(0.4, float(table["purity"].min()) - 0.03), 1.02)
    axes.grid(alpha=0.3)
    named = [axes.scatter([], [], c=colour, marker="o", label=name) for name, colour in colours.items()]
    shown = [axes.scatter([], [], c="grey", marker=marker, label=kind) for kind, marker in markers.items()]
    axes.add_artist(axes.legend(handles=named, loc="lower left"))
    axes.legend(handles=shown, loc="upper right")
    axes.xaxis.set_major_formatter(ScalarFormatter())
    return figure


def main(picture: Path = PICTURE) -> None:
    plot(pd.read_csv(TABLE)).savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
