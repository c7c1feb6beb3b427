"""The monitor's charts: a stream by the clock."""

import math

from ..protocols import session
from ..protocols.report import median
from .charts import COLOURS, PLAIN, convergence, nothing

ALERT = "#c01c28"


def session_chart(figure, summary, found):
    """Particles and backlog, rate, share of good ones, verdicts and resolution over time; without batches the rounds.

    Parameters
    ----------
    figure : Figure
    summary : dict
        The core's summary.json.
    found : list of (datetime, int)
        Particles in the input over time.
    """
    history = session.moments(summary)
    if not history:
        # Classified in one go there is no course of batches, but of rounds.
        return convergence(figure, summary) if summary.get("classes") else nothing(figure, "There are no classes yet.")
    (particles, rate, good), (backlog, verdicts, resolution) = figure.subplots(2, 3, sharex=True)
    times = [one.time for one in history]
    mark = {"marker": "o", "ms": 3, "color": PLAIN}
    _particles(particles, backlog, history, found)
    rates = session.rates(history)
    rate.plot([time for time, _ in rates], [value for _, value in rates], **mark)
    rate.set(title="Particles per hour", ylim=(0, None))
    _good(good, history)
    _verdicts(verdicts, times, history)
    best, middle = ([pick(one.resolution) if one.resolution else math.nan for one in history] for pick in (min, median))
    resolution.plot(times, middle, label="median", **mark)
    resolution.plot(times, best, label="best", color=COLOURS["good"], lw=1.2)
    resolution.set(title="Resolution (Å)")
    resolution.invert_yaxis()
    resolution.legend(frameon=False, fontsize="small")
    _clock(figure, backlog, verdicts, resolution)
    return True


def _particles(above, below, history, found):
    """Found and classified particles, and what waits."""
    times, numbers = [one.time for one in history], [one.particles for one in history]
    above.plot(times, numbers, marker="o", ms=3, color=PLAIN, label="classified")
    above.set(title="Particles", ylim=(0, None))
    below.set(title="Backlog (particles)", ylim=(0, None))
    if not found:
        below.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=below.transAxes, color="grey")
        return
    above.step([time for time, _ in found], [number for _, number in found], where="post", color="grey", label="found")
    above.legend(frameon=False, fontsize="small", loc="lower right")
    waiting = backlog(history, found)
    below.step([time for time, _ in waiting], [number for _, number in waiting], where="post", color=PLAIN)
    below.fill_between(*zip(*waiting), step="post", color=PLAIN, alpha=0.2)
    below.set_ylim(0, 1.1 * max(1, *(number for _, number in waiting)))


def backlog(history, found):
    """[(datetime, particles that wait)] at each moment when something came or was classified."""
    events = sorted([(time, number, None) for time, number in found] + [(m.time, None, m.particles) for m in history])
    there, done, waiting = 0, 0, []
    for time, came, classified in events:
        there, done = came if came is not None else there, classified if classified is not None else done
        waiting.append((time, max(there - done, 0)))
    return waiting


def _good(axes, history):
    known = [one for one in history if one.good is not None and one.particles]
    axes.set(title="Particles in good classes (%)", ylim=(0, 105))
    share = [100 * one.good / one.particles for one in known]
    axes.plot([one.time for one in known], share, marker="o", ms=3, color=COLOURS["good"], label="of all so far")
    recent = session.shares(known)
    if recent:
        axes.plot(*zip(*recent), color=COLOURS["good"], lw=0, marker=".", alpha=0.45, label="of each batch")
    axes.legend(frameon=False, fontsize="small", loc="lower left")
    if session.alert(history):
        axes.set_title(axes.get_title(), color=ALERT)
        axes.plot(known[-1].time, share[-1], marker="v", ms=10, color=ALERT)


def _verdicts(axes, times, history):
    counts = session.verdict_counts(history)
    axes.set(title="Classes")
    if counts:
        colours = [COLOURS[verdict] for verdict in counts]
        axes.stackplot(times, *counts.values(), labels=list(counts), colors=colours, alpha=0.8, step="mid")
        axes.legend(frameon=False, fontsize="small", loc="upper left", ncols=len(counts), columnspacing=1.0)
    axes.set_ylim(0, 1.3 * max(1, *(sum(one.verdicts.values()) for one in history)))


def _clock(figure, *axes):
    from matplotlib import dates

    for one in axes:
        locator = dates.AutoDateLocator(minticks=2, maxticks=5)
        one.xaxis.set_major_locator(locator)
        one.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
