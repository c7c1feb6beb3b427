"""How a stream goes by the clock: particles, backlog, rate and the share of good ones, and whether that falls."""

import math
from collections import namedtuple
from datetime import datetime

from ..constants import VERDICTS

RECENT_BATCHES, EARLIER_BATCHES = 3, 3
FALLEN_TO = 0.75
"""Share of good particles among the recent ones, over that among the earlier ones, which is worth an alert."""
FEWEST_RECENT = 100
DEVIATIONS = 3.0
RATE_SECONDS = 1800.0
"""The rate is that of the last half hour, or of the last two batches where these took longer."""

Moment = namedtuple("Moment", "time particles good verdicts resolution")
"""After a batch: datetime, particles so far, how many of them are in good classes (None where that is not known),
{verdict: classes} and resolutions in Å."""


def moments(summary):
    """The batches of a stream that say when they were, from the core's summary.json."""
    found = []
    for one in summary.get("history", {}).get("batches") or []:
        try:
            time = datetime.fromisoformat(one["time"])
        except (KeyError, TypeError, ValueError):
            continue
        resolution = sorted(value for value in one.get("resolution") or [] if math.isfinite(value or math.nan))
        found.append(Moment(_local(time), one["particles"], one.get("good"), one.get("verdicts") or {}, resolution))
    return found


def _local(time):
    """In the time zone of this machine, without saying so."""
    return time.astimezone().replace(tzinfo=None) if time.tzinfo else time


def arrivals(lines):
    """[(datetime, particles found in the input)] of the stream folder's record, in local time."""
    return [(datetime.fromtimestamp(one["time"]), one["found"]) for one in lines]


def rates(history):
    """[(datetime, particles per hour)], each over the half hour before."""
    found, first = [], 0
    for last in range(1, len(history)):
        while first < last - 1 and _seconds(history[first], history[last]) > RATE_SECONDS:
            first += 1
        seconds = _seconds(history[first], history[last])
        if seconds > 0:
            found.append((history[last].time, 3600 * (history[last].particles - history[first].particles) / seconds))
    return found


def _seconds(one, other):
    return (other.time - one.time).total_seconds()


def shares(history):
    """[(datetime, per cent good)] of the particles that each batch brought; what moved counts with it."""
    before, found, shown = 0, 0, []
    for one in history:
        number, good = one.particles - before, one.good - found
        if number > 0:
            shown.append((one.time, 100 * min(max(good / number, 0.0), 1.0)))
        before, found = one.particles, one.good
    return shown


def alert(history):
    """A line when clearly fewer of the recent particles are good than were before; empty when all is well.

    Recent are those of the last batches.  That particles move, or a class changes its verdict, counts with them.
    """
    known = [one for one in history if one.good is not None]
    if len(known) < RECENT_BATCHES + EARLIER_BATCHES:
        return ""
    before, now = known[-1 - RECENT_BATCHES], known[-1]
    number = now.particles - before.particles
    if number < FEWEST_RECENT or not before.particles:
        return ""
    earlier, recent = before.good / before.particles, max(now.good - before.good, 0) / number
    deviation = math.sqrt(earlier * (1 - earlier) / number + 1 / number**2)
    if recent > FALLEN_TO * earlier or earlier - recent < DEVIATIONS * deviation:
        return ""
    return (
        f"The share of good particles falls: {100 * recent:.0f} % of the last {number:,}, {100 * earlier:.0f} % of "
        "those before. Look at the newest micrographs: ice, focus, picking."
    )


def lines(history, found):
    """Rate, backlog and share of good particles, in words."""
    if not history:
        return []
    now, said = history[-1], []
    rate = rates(history)
    if rate:
        said.append(f"*{rate[-1][1]:,.0f}* particles per hour.")
    if found:
        said.append(f"Backlog: *{max(found[-1][1] - now.particles, 0):,}* particles.")
    if now.good is not None and now.particles:
        said.append(f"*{100 * now.good / now.particles:.0f} %* of the particles are in good classes.")
    return [" ".join(said)] if said else []


def verdict_counts(history):
    """{verdict: classes over time}, for the verdicts that there are."""
    return {
        verdict: [one.verdicts.get(verdict, 0) for one in history]
        for verdict in VERDICTS
        if any(one.verdicts.get(verdict) for one in history)
    }
