"""Eq. 10: for every particle, the nearest rotated and shifted class average.

A particle is ``z``, a reference ``x`` and a pose turns and shifts x.  With the CTF in the model, z is the
CTF-multiplied particle and q its CTF² by ring (both divided by the mean CTF², see
:mod:`alignpca2d_core.preprocess`), and the squared distance of eq. 10 is, up to a constant of the particle,

    -2 score = -2 Re<z, x(pose)> + sum_ring q |x|²_ring .

The second term does not depend on the pose, so that the search is one product of short vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .basis import FourierPCA
from .fourier import Band, as_real
from .memory import halving, tile_bytes
from .poses import Level, Schedule
from .preprocess import Vectors
from .templates import projected, scoring_type, shifted

SCORE_BYTES = 16 * 2**20
"""Scores held at once: a tile that a CPU's last cache keeps, and that any GPU has room for."""
TEMPLATE_BYTES = 48 * 2**20
"""Templates held at once."""
MARGIN = 8.0
"""Log-likelihood below the best within which a particle keeps more poses than usual."""
DOUBTFUL = 4
"""How many times more, at most."""
GRID_LOSS, LEAST_LOSS = 0.4, 24.0
"""What the first grid may hide of the score of a pose: the larger of a share of the best, and a log-likelihood."""
ROWS = 256
"""Matches refined at once: more would leave a CPU's cache."""
MANY_ROWS = 8192
"""The same on a GPU."""
COLUMNS = 16
"""Matrices are filled up with zeros to a multiple of so many columns: fewer take CPUs three times as long."""
FEWER = 2
"""So many times fewer particles than templates of one shift, and the particles are shifted instead."""
SPARE_POSES = 3
"""Poses beyond those to keep that are scored anew where the first scores are short of digits."""


@dataclass
class Matches:
    """Poses of n particles, the best first: every tensor has shape (n, kept).

    Attributes
    ----------
    classes : Tensor
        Class index, int64.
    angle : Tensor
        Rotation of the class average in radians, from x towards y.
    shift_x, shift_y : Tensor
        Shift of the rotated average in pixels.
    score : Tensor
        Log-likelihood against an empty reference.
    """

    classes: Tensor
    angle: Tensor
    shift_x: Tensor
    shift_y: Tensor
    score: Tensor

    def __len__(self) -> int:
        return len(self.score)

    def _map(self, function: object) -> Matches:
        fields = (self.classes, self.angle, self.shift_x, self.shift_y, self.score)
        return Matches(*(function(f) for f in fields))  # type: ignore[operator]

    def best(self, kept: int = 1) -> Matches:
        """The ``kept`` best matches of every particle."""
        order = self.score.topk(min(kept, self.score.shape[1]), dim=1).indices
        return self._map(lambda f: f.gather(1, order))

    def of_distinct_classes(self) -> Matches:
        """The same, best first, with -inf for all but the best match of a class."""
        ordered = self.best(self.score.shape[1])
        same = ordered.classes[:, :, None] == ordered.classes[:, None, :]
        repeated = same.tril(-1).any(2)
        ordered.score = ordered.score.masked_fill(repeated, -torch.inf)
        return ordered

    def rows(self, index: Tensor | slice) -> Matches:
        """The matches of some particles."""
        return self._map(lambda f: f[index])

    def put(self, index: Tensor, other: Matches) -> None:
        """Give some particles (p,) other matches, (p, kept)."""
        for name in ("classes", "angle", "shift_x", "shift_y", "score"):
            getattr(self, name)[index] = getattr(other, name)

    def pose(self) -> tuple[Tensor, Tensor, Tensor]:
        """Angle, shift in x and shift in y, (n, kept) each."""
        return self.angle, self.shift_x, self.shift_y

    def clone(self) -> Matches:
        return self._map(lambda f: f.clone())

    def to(self, device: torch.device) -> Matches:
        """The same on a device."""
        return self._map(lambda f: f.to(device))

    @staticmethod
    def none(kept: int, device: torch.device) -> Matches:
        """Of no particles."""
        still = torch.zeros(0, kept, device=device)
        return Matches(still.long(), *(4 * [still]))

    @staticmethod
    def join(parts: list[Matches], dim: int) -> Matches:
        """Concatenate along particles (0) or along the kept matches (1)."""
        names = ("classes", "angle", "shift_x", "shift_y", "score")
        return Matches(*(torch.cat([getattr(p, n) for p in parts], dim) for n in names))


def ring_power(references: Tensor, band: Band, radius: float) -> Tensor:
    """|x|² of references (k, m) on the rings of a narrower band, (k, rings)."""
    m = band.prefix(radius)
    power = references[:, :m].abs() ** 2
    return power.new_zeros(len(references), band.rings).index_add_(1, band.ring[:m], power)


def exhaustive(
    particles: Vectors,
    references: Tensor,
    band: Band,
    schedule: Schedule,
    basis: FourierPCA,
    keep: int = 1,
    literal: bool = False,
) -> Matches:
    """Compare particles with every class, rotation and shift of the first grid, in the PCA space.

    Returns the ``keep`` best pairs of class and rotation, each at its best shift; a class can be among them
    more than once.  References (k, m) are filtered (eq. 9).  With ``literal`` templates are shifted, as eq. 10 has it,
    also where it is cheaper to shift the particles: a basis that leaves much out does not score both quite alike.
    """
    level = schedule.exhaustive
    narrow = band.narrowed(level.radius)
    power = ring_power(references, band, level.radius)
    shifts = level.shifts(schedule.reach, narrow.device)
    z = particles.z[:, : len(narrow)]
    if not literal and FEWER * len(particles) < len(references) * level.rotations:
        coefficients, shown = shifted(z, narrow, shifts, basis), torch.zeros_like(shifts[:1])
    else:
        coefficients, shown = basis.transform(as_real(z))[:, None], shifts
    each = len(shown) * level.rotations * coefficients.shape[2] * scoring_type(narrow.device).itemsize
    most = max(1, tile_bytes(narrow.device, TEMPLATE_BYTES) // each)
    chunk = math.ceil(len(references) / math.ceil(len(references) / most))
    found: Matches | None = None
    for first in range(0, len(references), chunk):
        templates, share = projected(references[first : first + chunk, : len(narrow)], narrow, level, shown, basis)
        # The PCA keeps a share of each template's power; taking the rest off the score would favour the faint.
        own = power[first : first + chunk]
        penalty = (particles.q @ (0.5 * own).T)[:, :, None] * share
        part = _nearest(coefficients, templates, penalty.flatten(1), keep)
        matches = _as_matches(part, first, level, shifts)
        found = matches if found is None else Matches.join([found, matches], 1).best(keep)
    assert found is not None
    return found


def _nearest(coefficients: Tensor, templates: Tensor, penalty: Tensor, keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Score, class * rotations + rotation, and shift of the best templates, (n, keep) each.

    Particles (n, 1, components) meet shifted templates (shifts, classes * rotations, components), or shifted particles
    (n, shifts, components) templates of one shift.  ``penalty`` is half the templates' power, (n, classes * rotations).
    Of the shifts of one class and rotation only the best can win.  Scores live for one tile; the maximum is
    taken first and its place looked up for the winners alone: finding both at once is several times slower.
    """
    groups, own = templates.shape[1], coefficients.shape[1]
    shifts = own * len(templates)
    columns = templates.flatten(0, 1).T
    keep = min(keep, groups)
    wanted = min(groups, keep + (SPARE_POSES if templates.dtype != torch.float32 else 0))
    rows = max(16, tile_bytes(columns.device, SCORE_BYTES) // (templates.element_size() * shifts * groups))
    # One space for all tiles: fresh memory would have to be mapped each time, page by page.
    space = columns.new_empty(min(rows, len(coefficients)) * own, columns.shape[1])
    parts = []
    for some, taxes in zip(coefficients.split(rows), penalty.split(rows), strict=True):
        lines = some.flatten(0, 1).to(columns.dtype)
        tile = torch.mm(lines, columns, out=space[: len(lines)]).view(-1, shifts, groups)
        top, index = (tile.amax(1) - taxes).topk(wanted, dim=1)
        shift = tile.gather(2, index[:, None].expand(-1, shifts, -1)).argmax(1)
        if columns.dtype != torch.float32:
            top = _scored_anew(some, templates, shift, index) - taxes.gather(1, index)
            top, order = top.topk(keep, dim=1)
            index, shift = index.gather(1, order), shift.gather(1, order)
        parts.append((top, index, shift))
    scores, indices, places = (torch.cat(f) for f in zip(*parts, strict=True))
    return scores, indices, places


def _scored_anew(coefficients: Tensor, templates: Tensor, shift: Tensor, index: Tensor) -> Tensor:
    """Products of particles with chosen templates, (n, kept) each, in full; whichever of the two has been shifted."""
    own, kept = coefficients.shape[1], shift.shape[1]
    # Rows are picked: picking columns is tens of times slower.
    chosen = (shift // own * templates.shape[1] + index).flatten()
    picked = templates.flatten(0, 1).index_select(0, chosen).view(-1, kept, templates.shape[2])
    mine = coefficients
    if own > 1:
        mine = coefficients.gather(1, (shift % own)[:, :, None].expand(-1, -1, coefficients.shape[2]))
    return (mine * picked.float()).sum(2)


def _as_matches(part: tuple[Tensor, Tensor, Tensor], first: int, level: Level, shifts: Tensor) -> Matches:
    score, index, shift = part
    angle = level.angles(score.device)[index % level.rotations]
    return Matches(index // level.rotations + first, angle, shifts[shift, 0], shifts[shift, 1], score)


def locate(
    particles: Vectors,
    references: Tensor,
    schedule: Schedule,
    basis: FourierPCA,
    keep: tuple[int, ...],
    rivals: bool = False,
) -> Matches:
    """Search everywhere, then refine the best poses level by level.

    ``keep`` says how many poses each particle keeps after the exhaustive level and after each local level
    that is run, one level for each further number.  Where many poses are nearly as good, as for particles of
    little contrast, more of them are kept after the first; where one stands out, fewer, unless with ``rivals`` it is
    asked what a particle would lose elsewhere.
    """

    def located(part: slice) -> Matches:
        some = particles.rows(part)
        matches = exhaustive(some, references, some.band, schedule, basis, DOUBTFUL * keep[0])
        matches.score = matches.score.masked_fill(~_promising(matches.score, keep[0], rivals), -torch.inf)
        for level, kept in zip(schedule.local, keep[1:], strict=False):
            matches = refine(some, references, some.band, level, matches).of_distinct_classes().best(kept)
        return matches

    return halving(located, len(particles), lambda parts: Matches.join(parts, 0))


def _promising(score: Tensor, usual: int, rivals: bool) -> Tensor:
    """Which of the poses kept, best first, with their scores on the first grid (n, kept), are worth refining."""
    best = score[:, :1]
    promising = score >= best - MARGIN
    could_win = best - (GRID_LOSS * best).clamp_min(LEAST_LOSS)
    promising[:, :usual] = rivals or score[:, :usual] >= could_win
    return promising


def refine(
    particles: Vectors, references: Tensor, band: Band, level: Level, matches: Matches, around: int = 1
) -> Matches:
    """Look around each match on one finer grid: three rotations and nine shifts, on the level's band.

    ``around=0`` scores the nearest rotation of the grid at the shift as it is.  Matches of score -inf stay
    as they are.
    """
    narrow = band.narrowed(level.radius)
    m = len(narrow)
    power = ring_power(references, band, level.radius)
    angles = level.angles(band.device)
    offsets = level.shifts(around * level.shift_step, band.device)
    steps = torch.arange(-around, around + 1, device=band.device)
    ramps = as_real(narrow.shift_ramps(offsets[:, 0], offsets[:, 1])).T
    ramps = F.pad(ramps, (0, -len(offsets) % COLUMNS)).contiguous()
    result = matches.clone()
    kept = matches.score.shape[1]
    owner = torch.arange(len(matches), device=band.device).repeat_interleave(kept)
    classes = matches.classes.flatten()
    flat = [f.reshape(-1) for f in (result.angle, result.shift_x, result.shift_y, result.score)]
    live = torch.nonzero(flat[-1] > -torch.inf)[:, 0]
    used, counts = torch.unique(classes[live], return_counts=True)
    members = live[torch.argsort(classes[live], stable=True)].split(counts.tolist())
    together = max(1, SCORE_BYTES // (8 * m * len(angles)))
    for first in range(0, len(used), together):
        some = used[first : first + together]
        turned = narrow.rotate_round(references[some, :m], level.rotations).conj_physical_()
        for k, rotated, mine in zip(some.tolist(), turned, members[first : first + together], strict=True):
            for member in mine.split(ROWS if band.device.type == "cpu" else MANY_ROWS):
                _refine_class(particles, owner[member], rotated, ramps, offsets, steps, power[k], flat, member)
    return result


def _refine_class(
    particles: Vectors,
    owner: Tensor,
    rotated: Tensor,
    ramps: Tensor,
    offsets: Tensor,
    steps: Tensor,
    power: Tensor,
    flat: list[Tensor],
    member: Tensor,
) -> None:
    """Refine the matches ``member`` of one class in place; ``rotated`` (a, m) is the conjugate of all its rotations."""
    angle, shift_x, shift_y, score = flat
    count, m = rotated.shape
    nearest = torch.round(angle[member] / (2 * torch.pi) * count).long()
    turns = (nearest[:, None] + steps) % count
    centred = particles.z[owner, :m] * particles.band.first(m).shift_ramps(-shift_x[member], -shift_y[member])
    # Re<z, x ramp> over the nine shifts is a product of Re and Im parts with the ramps' own.
    overlap = centred[:, None] * rotated[turns]
    values = (as_real(overlap).flatten(0, 1) @ ramps)[:, : len(offsets)]
    best, place = values.reshape(len(member), -1).max(1)
    turn, shift = place // len(offsets), place % len(offsets)
    angle[member] = turns.gather(1, turn[:, None])[:, 0] * (2 * torch.pi / count)
    shift_x[member] += offsets[shift, 0]
    shift_y[member] += offsets[shift, 1]
    score[member] = best - 0.5 * particles.q[owner] @ power
