"""Eq. 10: for every particle, the nearest rotated and shifted class average.

A particle is ``z``, a reference ``x`` and a pose turns and shifts x.  With the CTF in the model, z is the
CTF-multiplied particle, each ring divided by its noise and the root mean square CTF, and q its CTF² by ring over the
mean CTF² (see :mod:`.preprocess`).  The squared distance of eq. 10 is then, up to a constant of the particle,

    -2 score = -2 Re<z, x(pose)> + sum_ring q |x|²_ring .

The second term does not depend on the pose, so that the search is one product of short vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce

import torch
from torch import Tensor

from ..preprocessing.preprocess import Vectors
from ..runtime.memory import SCORE_BYTES, halving, tile_bytes
from .fourier_pca import FourierPCA
from .local_search import refine
from .matches import Matches
from .scoring_precision import scoring_type
from .screen_learning import SWEEP_RISK, learned_screen, pays
from .screening import Screening
from .search_grids import Level, Schedule, Screen
from .template_bank import Bank, FewDigits, shifted

MARGIN = 8.0
"""Log-likelihood below the best within which a particle keeps more poses than usual."""
DOUBTFUL = 4
"""How many times more, at most."""
GRID_LOSS, LEAST_LOSS = 0.4, 24.0
"""What the first grid may hide of the score of a pose: the larger of a share of the best, and a log-likelihood."""
LINES_BYTES = 16 * 2**20
"""Shifted particles held at once."""
LEAST_ROWS = 16
"""Particles of one product, at least."""
MOST_SCREENED = 64
"""Poses to keep of a particle from which all are compared."""
LEARNED_FROM, MANY = 500, 4
"""Particles that a search learns a screen from, and how many times more there must be."""
SPARE_POSES = 3
"""Poses beyond those to keep that are scored again where the first scores are short of digits."""


def exhaustive(
    particles: Vectors,
    references: Tensor,
    schedule: Schedule,
    basis: FourierPCA,
    keep: int = 1,
) -> Matches:
    """Compare particles with every class, rotation and shift of the first grid.

    Returns the ``keep`` best pairs of class and rotation, each at its best shift; a class can be among them
    more than once.  References (k, m) are filtered (eq. 9), on the band of the particles.  The space is that of the
    references' own axes (:mod:`.reference_axes`).
    With a screen only those poses are compared that few components do not rule out, where that pays; where they are
    fewer than ``keep``, the rest has the score -inf.
    """
    return exhaustive_in(Bank.make(references, particles.band, schedule.exhaustive, basis), particles, schedule, keep)


def exhaustive_in(bank: Bank, particles: Vectors, schedule: Schedule, keep: int = 1) -> Matches:
    """:func:`exhaustive` in the references of a bank."""
    if keep <= MOST_SCREENED and pays(bank, schedule):
        screen = schedule.screen or _learned(particles, bank, schedule)
        if screen is not None:
            return _screened(Screening(bank, schedule, screen), particles, schedule, keep)
    return in_parts(particles, lambda some: _of_bank(some, bank, schedule, keep))


def _screened(screening: Screening, particles: Vectors, schedule: Schedule, keep: int) -> Matches:
    """The best poses (n, keep) of those on shortlists, or of all where that is faster."""
    bank = screening.bank
    best, left = screening.nearest(particles, keep)
    found = as_matches(best, 0, bank.level, screening.shifts)
    if len(left):
        rest = in_parts(particles.rows(left), lambda some: _of_bank(some, bank, schedule, keep))
        found.put(left, rest)
    return found


def in_parts(particles: Vectors, compared: Callable[[Vectors], Matches]) -> Matches:
    """What is found of all particles, of fewer at once where a GPU's memory ends."""
    return halving(lambda part: compared(particles.rows(part)), len(particles), lambda parts: Matches.join(parts, 0))


def _learned(particles: Vectors, bank: Bank, schedule: Schedule) -> Screen | None:
    """A screen for these particles, from some of them; None where they are too few to learn from."""
    if not schedule.learns or len(particles) < MANY * LEARNED_FROM:
        return None
    some = particles.rows(torch.arange(LEARNED_FROM) * len(particles) // LEARNED_FROM)
    return learned_screen(some, _of_bank(some, bank, schedule, 1), bank, schedule, SWEEP_RISK)


def _of_bank(particles: Vectors, bank: Bank, schedule: Schedule, keep: int) -> Matches:
    """The same by the references' own axes, where memory holds all that is needed at once.

    The axes are those of references which are turned and not shifted, so particles are shifted back in their place.
    """
    device = bank.band.device
    shifts = bank.level.shifts(schedule.reach, device)
    rows = max(1, tile_bytes(device, LINES_BYTES) // (4 * len(shifts) * bank.templates.shape[1]))
    each = scoring_type(device).itemsize * LEAST_ROWS * len(shifts)
    columns = max(1, tile_bytes(device, SCORE_BYTES) // (each * bank.level.searched)) * bank.level.searched
    every = []
    for start in range(0, max(len(particles), 1), rows):
        some = particles.rows(slice(start, start + rows))
        every.append(best_of_blocks(_by_blocks(some, bank, shifts, columns, keep), keep))
    return Matches.join(every, 0)


def _by_blocks(particles: Vectors, bank: Bank, shifts: Tensor, columns: int, keep: int) -> Iterator[Matches]:
    """The best of so many templates (columns) at a time, (n, keep) each."""
    lines = shifted(particles.z[:, : len(bank.band)], bank.band, shifts, bank.axes)
    few, penalty = bank.in_few_digits(lines), bank.penalty(particles.q)
    for first in range(0, len(bank.templates), columns):
        chosen = slice(first, first + columns)
        part = nearest_templates(lines, bank.templates[None, chosen], penalty[:, chosen], keep, few and few.of(chosen))
        yield as_matches(part, first // bank.level.searched, bank.level, shifts)


def best_of_blocks(found: Iterable[Matches], keep: int) -> Matches:
    """The best of what blocks of classes hold, (n, kept) each."""
    return reduce(lambda one, other: Matches.join([one, other], 1).best(keep), found)


def nearest_templates(
    coefficients: Tensor, templates: Tensor, penalty: Tensor, keep: int, few_digits: FewDigits | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Score, class * rotations + rotation, and shift of the best templates, (n, keep) each.

    Particles (n, 1, components) meet shifted templates (shifts, classes * rotations, components), or shifted particles
    (n, shifts, components) templates of one shift.  ``penalty`` is half the templates' power, (n, classes * rotations).
    Of the shifts of one class and rotation only the best can win.  Scores live for one tile; the maximum is
    taken first and its place looked up for the winners alone: finding both at once is several times slower.
    Where first scores are of few digits (the templates, or what stands for them), the best are scored again in full.
    """
    groups, own = templates.shape[1], coefficients.shape[1]
    shifts = own * len(templates)
    first = few_digits or FewDigits(templates.flatten(0, 1), coefficients)
    columns = first.templates.T
    keep, again = min(keep, groups), columns.dtype != torch.float32
    wanted = min(groups, keep + (SPARE_POSES if again else 0))
    rows = max(LEAST_ROWS, tile_bytes(columns.device, SCORE_BYTES) // (columns.element_size() * shifts * groups))
    # One space for all tiles: fresh memory would have to be mapped each time, page by page.
    space = columns.new_empty(min(rows, len(coefficients)) * own, columns.shape[1])
    parts = []
    split = (one.split(rows) for one in (coefficients, penalty, first.lines))
    for some, taxes, quick in zip(*split, strict=True):
        lines = quick.flatten(0, 1).to(columns.dtype)
        tile = torch.mm(lines, columns, out=space[: len(lines)]).view(-1, shifts, groups)
        top, index = (tile.amax(1) - taxes).topk(wanted, dim=1)
        shift = tile.gather(2, index[:, None].expand(-1, shifts, -1)).argmax(1)
        if again:
            top, shift = _scored_in_full(some, templates, shift, index)
            top, order = (top - taxes.gather(1, index)).topk(keep, dim=1)
            index, shift = index.gather(1, order), shift.gather(1, order)
        parts.append((top, index, shift))
    scores, indices, places = (torch.cat(f) for f in zip(*parts, strict=True))
    return scores, indices, places


def _scored_in_full(coefficients: Tensor, templates: Tensor, shift: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Products of particles with chosen templates in full, and their shifts, (n, kept) each.

    Of shifted particles all shifts are compared again: to few digits many are alike, and which comes out best may hang
    on how many templates are multiplied at once.
    """
    # Rows are picked: picking columns is tens of times slower.
    if coefficients.shape[1] > 1:
        picked = templates[0].index_select(0, index.flatten()).unflatten(0, index.shape).float()
        scores = picked @ coefficients.transpose(1, 2)
        return scores.amax(2), scores.argmax(2)
    chosen = (shift * templates.shape[1] + index).flatten()
    picked = templates.flatten(0, 1).index_select(0, chosen).unflatten(0, index.shape).float()
    return (coefficients * picked).sum(2), shift


def as_matches(part: tuple[Tensor, Tensor, Tensor], first: int, level: Level, shifts: Tensor) -> Matches:
    """What :func:`nearest_templates` has found in classes from ``first`` on, as poses."""
    score, index, shift = part
    angle = level.angles(score.device)[index % level.searched]
    return Matches(index // level.searched + first, angle, shifts[shift, 0], shifts[shift, 1], score)


def locate(
    particles: Vectors,
    references: Tensor,
    schedule: Schedule,
    basis: FourierPCA,
    keep: tuple[int, ...],
    rivals: bool = False,
) -> Matches:
    """Search everywhere, then refine the best poses level by level: :func:`locate_in` the references (k, m)."""
    bank = Bank.make(references, particles.band, schedule.exhaustive, basis)
    return locate_in(bank, particles, schedule, keep, rivals)


def locate_in(
    bank: Bank, particles: Vectors, schedule: Schedule, keep: tuple[int, ...], rivals: bool = False
) -> Matches:
    """The best poses of particles (n) in the references of a bank, (n, kept).

    ``keep`` says how many poses each particle keeps after the exhaustive level and after each local level
    that is run, one level for each further number.  Where many poses are nearly as good, as for particles of
    little contrast, more of them are kept after the first; where one stands out, fewer, unless with ``rivals`` the
    scores of the other classes are asked for.
    """

    def located(part: slice) -> Matches:
        some = particles.rows(part)
        matches = exhaustive_in(bank, some, schedule, DOUBTFUL * keep[0])
        matches.score = matches.score.masked_fill(~_promising(matches.score, keep[0], rivals), -torch.inf)
        for level, kept in zip(schedule.local, keep[1:], strict=False):
            matches = refine(some, bank.references, some.band, level, matches).of_distinct_classes().best(kept)
        return matches

    return halving(located, len(particles), lambda parts: Matches.join(parts, 0))


def _promising(score: Tensor, usual: int, rivals: bool) -> Tensor:
    """Which of the poses kept, best first, with their scores on the first grid (n, kept), are worth refining."""
    best = score[:, :1]
    promising = score >= best - MARGIN
    could_win = best - (GRID_LOSS * best).clamp_min(LEAST_LOSS)
    promising[:, :usual] = rivals or score[:, :usual] >= could_win
    return promising
