"""Charts of a classification on a matplotlib figure, from what the core says in summary.json."""

import math

from ..constants import VERDICTS
from ..protocols.report import median

THRESHOLD, HALF = 0.143, 0.5
FEW, MANY = 24, 60
"""Up to so many classes their curves are numbered; above so many they are thin."""
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
        return nothing(figure, "There are no FRC curves yet.")
    axes = figure.add_subplot()
    box = 2 * (len(curves[0]) - 1)
    verdicts = _verdicts(classes, len(curves))
    order = sorted(range(len(curves)), key=lambda k: -VERDICTS.index(verdicts[k]) if verdicts[k] else 0)
    width = 1.2 if len(curves) <= MANY else 0.6
    last = 1 + max(_last_ring(curve) for curve in curves)
    for k in order:
        frequency = [ring / box / sampling_rate for ring in range(1, last)]
        (line,) = axes.plot(frequency, curves[k][1:last], color=COLOURS.get(verdicts[k], PLAIN), lw=width, alpha=0.6)
        line.set_gid(_name(classes, k, verdicts[k]))
        if len(curves) <= FEW:
            _number(axes, line, k)
    axes.axhline(THRESHOLD, color="black", lw=0.8, ls="--")
    axes.text(0.005, THRESHOLD + 0.01, f"{THRESHOLD}", ha="left", va="bottom", transform=axes.get_yaxis_transform())
    axes.set(xlim=(0, last / box / sampling_rate), ylim=(min(-0.1, min(map(min, curves))), 1.02))
    _resolution_ticks(axes.set_xticks, last / box / sampling_rate)
    axes.set(xlabel="Resolution (Å)", ylabel="FRC", title=f"FRC between the halves of {len(curves)} classes")
    return _legend(axes, verdicts)


def class_sizes(figure, summary):
    """How many particles each class has, and to which resolution its halves agree."""
    classes = summary.get("classes", {})
    sizes = classes.get("size") or []
    if not sizes:
        return nothing(figure, "There are no classes yet.")
    above, below = figure.subplots(2, sharex=True)
    verdicts, numbers = _verdicts(classes, len(sizes)), range(1, len(sizes) + 1)
    colours = [COLOURS.get(verdict, PLAIN) for verdict in verdicts]
    above.bar(numbers, sizes, color=colours, width=0.85)
    above.set(ylabel="Particles", title=f"{sum(sizes)} particles in {len(sizes)} classes", ylim=(0, 1.2 * max(sizes)))
    resolutions = classes.get("resolution_angstrom") or []
    if resolutions:
        usual = median([r for r, verdict in zip(resolutions, verdicts) if verdict != "junk"] or resolutions)
        finest = 1 / min(resolutions)
        below.scatter(numbers, [1 / r for r in resolutions], color=colours, s=18)
        below.axhline(1 / usual, color="black", lw=0.8, ls=":", label=f"median {usual:.1f} Å")
        below.legend(loc="lower right", frameon=False)
        below.set_ylim(0, 1.1 * finest)
        _resolution_ticks(below.set_yticks, 1.1 * finest)
    below.set(xlabel="Class", ylabel="Resolution (Å)", xlim=(0.3, len(sizes) + 0.7))
    below.xaxis.get_major_locator().set_params(integer=True)
    return _legend(above, verdicts)


def convergence(figure, summary):
    """Particles that changed their class in each round on the sample, and how many classes there were."""
    rounds = summary.get("history", {}).get("rounds") or []
    if not rounds:
        if summary.get("history", {}).get("batches"):
            return nothing(figure, "The particles came in batches: see the monitor.")
        return nothing(figure, "The program has left no figures of its rounds.")
    above, below = figure.subplots(2, sharex=True)
    numbers = [one["round"] for one in rounds]
    changed = [math.nan if one.get("changed") is None else 100 * one["changed"] for one in rounds]
    above.plot(numbers, changed, color=PLAIN, marker="o", ms=3)
    above.set(ylabel="Particles that changed\ntheir class (%)", ylim=(-2, None), title="Rounds on the sample")
    below.step(numbers, [one["classes"] for one in rounds], where="mid", color=PLAIN)
    below.set(xlabel="Round", ylabel="Distinct classes", ylim=(0, 1.1 * max(one["classes"] for one in rounds)))
    for axis in (below.xaxis, below.yaxis):
        axis.get_major_locator().set_params(integer=True)
    return True


def _name(classes, k, verdict):
    """What is said of a curve when the pointer is on it."""
    resolutions = classes.get("resolution_angstrom") or []
    known = [f"{resolutions[k]:.1f} Å"] if k < len(resolutions) and resolutions[k] else []
    return ", ".join([f"Class {k + 1}", *known, *([verdict] if verdict else [])])


def _number(axes, line, k):
    """The class's number where its curve first falls below one half, or at its end."""
    x, y = line.get_data()
    at = next((place for place, value in enumerate(y) if value < HALF), len(y) - 1)
    about = {"fontsize": "small", "color": line.get_color(), "xytext": (3, 3), "textcoords": "offset points"}
    axes.annotate(str(k + 1), (x[at], y[at]), **about)


def _last_ring(curve):
    """The last ring that was compared: beyond the resolution limit the core gives zeros."""
    return max((ring for ring, value in enumerate(curve) if value), default=1)


def nothing(figure, text):
    """Say on the figure why there is no chart on it."""
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


def _resolution_ticks(set_ticks, highest):
    """Ticks at round resolutions, on an axis in 1/Å, that do not touch each other."""
    chosen = []
    for angstrom in RESOLUTION_TICKS:
        place = 1 / angstrom
        if place <= highest and (not chosen or place - 1 / chosen[-1] > LEAST_TICK_DISTANCE * highest):
            chosen.append(angstrom)
    set_ticks([1 / angstrom for angstrom in chosen], [f"{angstrom:g}" for angstrom in chosen])
