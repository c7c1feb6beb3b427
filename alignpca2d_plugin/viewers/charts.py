"""Charts of a classification on a matplotlib figure, from what the core says in summary.json."""

import math

from ..constants import VERDICTS
from ..protocols.report import median

THRESHOLD = 0.143
COLOURS = dict(zip(VERDICTS, ("#2e7d4f", "#d98a00", "#9a9a9a")))
PLAIN = "#3465a4"
RESOLUTION_TICKS = (100, 50, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2)
LEAST_TICK_DISTANCE = 0.07
"""As a share of the axis."""


def frc_curves(figure, summary, sampling_rate):
    """Fourier ring correlation between the halves of each class, the axis in Å."""
    classes = summary.get("classes", {})
    curves = classes.get("frc") or []
    if not curves:
        return _nothing(figure, "There are no FRC curves yet.")
    axes = figure.add_subplot()
    box = 2 * (len(curves[0]) - 1)
    verdicts = _verdicts(classes, len(curves))
    order = sorted(range(len(curves)), key=lambda k: -VERDICTS.index(verdicts[k]) if verdicts[k] else 0)
    width = 1.2 if len(curves) <= 60 else 0.6
    last = 1 + max(_last_ring(curve) for curve in curves)
    for k in order:
        frequency = [ring / box / sampling_rate for ring in range(1, last)]
        axes.plot(frequency, curves[k][1:last], color=COLOURS.get(verdicts[k], PLAIN), lw=width, alpha=0.6)
    axes.axhline(THRESHOLD, color="black", lw=0.8, ls="--")
    axes.text(0.005, THRESHOLD + 0.01, f"{THRESHOLD}", ha="left", va="bottom", transform=axes.get_yaxis_transform())
    axes.set(xlim=(0, last / box / sampling_rate), ylim=(min(-0.1, min(map(min, curves))), 1.02))
    _resolution_ticks(axes, last / box / sampling_rate)
    axes.set(xlabel="Resolution (Å)", ylabel="FRC", title=f"FRC between the halves of {len(curves)} classes")
    return _legend(axes, verdicts)


def class_sizes(figure, summary):
    """How many particles each class has, and to which resolution its halves agree."""
    classes = summary.get("classes", {})
    sizes = classes.get("size") or []
    if not sizes:
        return _nothing(figure, "There are no classes yet.")
    above, below = figure.subplots(2, sharex=True)
    verdicts, numbers = _verdicts(classes, len(sizes)), range(1, len(sizes) + 1)
    colours = [COLOURS.get(verdict, PLAIN) for verdict in verdicts]
    above.bar(numbers, sizes, color=colours, width=0.85)
    above.set(ylabel="Particles", title=f"{sum(sizes)} particles in {len(sizes)} classes", ylim=(0, 1.2 * max(sizes)))
    resolutions = classes.get("resolution_angstrom") or []
    if resolutions:
        below.scatter(numbers, resolutions, color=colours, s=18)
        below.axhline(median(resolutions), color="black", lw=0.8, ls=":")
        below.set_ylim(1.05 * max(resolutions), 0.95 * min(resolutions))
    below.set(xlabel="Class", ylabel="Resolution (Å)", xlim=(0.3, len(sizes) + 0.7))
    below.xaxis.get_major_locator().set_params(integer=True)
    return _legend(above, verdicts)


def convergence(figure, summary):
    """Particles that changed their class in each round on the sample, and how many classes there were."""
    rounds = summary.get("history", {}).get("rounds") or []
    if not rounds:
        if summary.get("history", {}).get("batches"):
            return batches(figure, summary)
        return _nothing(figure, "The program has left no figures of its rounds.")
    above, below = figure.subplots(2, sharex=True)
    numbers = [one["round"] for one in rounds]
    changed = [math.nan if one.get("changed") is None else 100 * one["changed"] for one in rounds]
    above.plot(numbers, changed, color=PLAIN, marker="o", ms=3)
    above.set(ylabel="Particles that changed\ntheir class (%)", ylim=(0, None), title="Rounds on the sample")
    below.step(numbers, [one["classes"] for one in rounds], where="mid", color=PLAIN)
    below.set(xlabel="Round", ylabel="Distinct classes", ylim=(0, 1.1 * max(one["classes"] for one in rounds)))
    for axis in (below.xaxis, below.yaxis):
        axis.get_major_locator().set_params(integer=True)
    return True


def batches(figure, summary):
    """Particles, classes and their resolution over the batches of a stream."""
    history = summary.get("history", {}).get("batches") or []
    if not history:
        if summary.get("classes"):
            return _nothing(figure, "These particles were classified in one go, not in batches.")
        return _nothing(figure, "No batch has been classified yet.")
    left, middle, right = figure.subplots(1, 3)
    numbers = [one["batch"] for one in history]
    marker = {"marker": "o", "ms": 3, "color": PLAIN}
    left.plot(numbers, [one["particles"] for one in history], **marker)
    left.set(title="Particles", ylim=(0, None))
    middle.step(numbers, [one["classes"] for one in history], where="mid", **marker)
    middle.set(title="Classes", ylim=(0, 1.1 * max(one["classes"] for one in history)))
    middle.yaxis.get_major_locator().set_params(integer=True)
    resolutions = [sorted(one.get("resolution") or [math.nan]) for one in history]
    right.plot(numbers, [median(one) for one in resolutions], label="median", **marker)
    right.fill_between(numbers, [r[0] for r in resolutions], [r[-1] for r in resolutions], color=PLAIN, alpha=0.2)
    right.set(title="Resolution (Å)")
    right.invert_yaxis()
    for axes in (left, middle, right):
        axes.set_xlabel("Batch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    return True


def _last_ring(curve):
    """The last ring that was compared: beyond the resolution limit the core gives zeros."""
    return max((ring for ring, value in enumerate(curve) if value), default=1)


def _nothing(figure, text):
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return False


def _verdicts(classes, number):
    """One per class; empty where the core has given none."""
    verdicts = classes.get("verdict") or []
    if len(verdicts) != number:
        return [""] * number
    return [verdict if verdict in VERDICTS else "" for verdict in verdicts]


def _legend(axes, verdicts):
    for verdict in VERDICTS:
        if verdict in verdicts:
            axes.plot([], [], color=COLOURS[verdict], lw=4, label=f"{verdict} ({verdicts.count(verdict)})")
    if any(verdicts):
        axes.legend(loc="upper right", frameon=False, ncols=len(VERDICTS))
    return True


def _resolution_ticks(axes, highest):
    """Ticks at round resolutions that do not touch each other."""
    chosen = []
    for angstrom in RESOLUTION_TICKS:
        place = 1 / angstrom
        if place <= highest and (not chosen or place - 1 / chosen[-1] > LEAST_TICK_DISTANCE * highest):
            chosen.append(angstrom)
    axes.set_xticks([1 / angstrom for angstrom in chosen], [f"{angstrom:g}" for angstrom in chosen])
