"""The search of eq. 10: planted poses are found, scores are distances, tiles do not matter."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from blobs import BAR, CORNER, TRIANGLE, as_particles, random_poses, spots, stack
from torch import Tensor

from alignpca2d_core.alignment import exhaustive_search, literal_search, local_search, template_bank
from alignpca2d_core.alignment.exhaustive_search import exhaustive, exhaustive_in, locate
from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.literal_search import literal_exhaustive
from alignpca2d_core.alignment.local_search import refine
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.reference_axes import reference_axes
from alignpca2d_core.alignment.scoring_precision import KINDS, SCORING
from alignpca2d_core.alignment.search_grids import Schedule, nested_schedule
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.preprocessing.preprocess import Vectors

VIEWS = (BAR, TRIANGLE, CORNER)
NAMES = ("classes", "angle", "shift_x", "shift_y", "score")


def references(band: Band) -> Tensor:
    return band.to_vectors(torch.stack([torch.from_numpy(spots(band.box, places)) for places in VIEWS]))


def whole_space(band: Band) -> FourierPCA:
    """A basis that loses nothing."""
    width = 2 * len(band)
    return FourierPCA.restored(1.0, torch.eye(width), torch.ones(width))


def planted(box: int, count: int, poses: Tensor) -> tuple[Tensor, Tensor]:
    """Views in turn, in the poses given: images (count, box, box) and views (count,)."""
    view = torch.arange(count) % len(VIEWS)
    return torch.cat([stack(box, VIEWS[k], poses[i : i + 1]) for i, k in enumerate(view.tolist())]), view


def grid_poses(schedule: Schedule, count: int) -> Tensor:
    """Poses that lie on the exhaustive grid."""
    generator = torch.Generator().manual_seed(1)
    angles, shifts = schedule.exhaustive.angles(), schedule.exhaustive.shifts(schedule.reach)
    turn = torch.randint(len(angles), (count,), generator=generator)
    move = torch.randint(len(shifts), (count,), generator=generator)
    return torch.cat((angles[turn, None], shifts[move]), dim=1)


def radial(band: Band, defoci: Tensor) -> Tensor:
    """A CTF of rings for each particle, (n, rings)."""
    share = torch.arange(band.rings) / band.rings
    return torch.sin(0.3 + defoci[:, None] * share**2)


def seen_through(ctf: Tensor, images: Tensor, band: Band, noise: float, seed: int = 0) -> tuple[Vectors, Tensor]:
    """Particles y = CTF·x + noise as the model's vectors z = CTF·y, and the y themselves."""
    factor = ctf[:, band.ring]
    y = as_particles(images, band).z * factor
    noise_vectors = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(seed))
    y = y + noise * math.sqrt(2) * noise_vectors
    return Vectors(factor * y, ctf**2, band), y


def angle_error_deg(found: Tensor, wanted: Tensor) -> Tensor:
    return torch.rad2deg(torch.remainder(found - wanted + math.pi, 2 * math.pi) - math.pi).abs()


@pytest.mark.parametrize("box", [32, 33, 64, 65])
def test_planted_poses_of_the_grid_are_found_exactly(box: int) -> None:
    band = Band.make(box, 9.0)
    schedule = nested_schedule(box, 9.0)
    poses = grid_poses(schedule, 60)
    images, view = planted(box, 60, poses)
    found = exhaustive(as_particles(images, band), references(band), schedule, whole_space(band)).best(1)
    assert torch.equal(found.classes[:, 0], view)
    assert float(angle_error_deg(found.angle[:, 0], poses[:, 0]).max()) < 1e-3
    torch.testing.assert_close(found.shift_x[:, 0], poses[:, 1], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.shift_y[:, 0], poses[:, 2], atol=1e-4, rtol=0)


@pytest.mark.parametrize("defocus", [0.0, 12.0])
def test_score_is_minus_half_the_literal_distance(defocus: float) -> None:
    """Eq. 10 as it is printed: |C(theta) - y|² over all pixels, for every class, rotation and shift.

    The score leaves out |y|², which no template changes.
    """
    box, count = 32, 6
    band, schedule = Band.make(box, 9.0), nested_schedule(box, 9.0)
    images, _ = planted(box, count, random_poses(count, 3.0))
    ctf = radial(band, torch.linspace(0.5, 1, count) * defocus) if defocus else torch.ones(count, band.rings)
    particles, y = seen_through(ctf, images, band, noise=0.4)
    level, average = schedule.exhaustive, references(band)
    found = exhaustive(particles, average, schedule, whole_space(band)).best(1)
    shifts = level.shifts(schedule.reach)
    turned = band.rotate_all(average, level.angles())
    templates = turned[:, :, None] * band.shift_ramps(shifts[:, 0], shifts[:, 1])
    tolerance = 0.003 * float(average.abs().square().sum(1).max())
    for i in range(count):
        difference = band.to_images(templates * ctf[i, band.ring] - y[i])
        literal = difference.square().sum((-2, -1)) - band.to_images(y[i]).square().sum()
        best = literal.min()
        assert float(found.score[i, 0]) == pytest.approx(-0.5 * float(best), abs=tolerance)
        turn = int(torch.round(found.angle[i, 0] / math.radians(level.rotation_step)))
        move = int((shifts - torch.stack((found.shift_x[i], found.shift_y[i]), 1)).abs().sum(1).argmin())
        chosen = literal[found.classes[i, 0], turn, move]
        assert float(found.score[i, 0]) == pytest.approx(-0.5 * float(chosen), abs=tolerance)
        assert float(chosen - best) <= 2 * tolerance
        assert float(literal.max() - best) > 60 * tolerance


@pytest.mark.parametrize("defocus", [0.0, 12.0])
def test_refined_score_is_minus_half_the_literal_distance(defocus: float) -> None:
    box, count = 48, 9
    band, schedule = Band.make(box, 16.0), nested_schedule(box, 16.0)
    images, view = planted(box, count, random_poses(count, 4.0))
    ctf = radial(band, torch.linspace(0.5, 1, count) * defocus) if defocus else torch.ones(count, band.rings)
    particles, y = seen_through(ctf, images, band, noise=0.3)
    average = references(band)
    found = locate(particles, average, schedule, whole_space(band.narrowed(schedule.exhaustive.radius)), (8, 4, 2, 1))
    found = refine(particles, average, band, schedule.final, found.best(1))
    assert torch.equal(found.classes[:, 0], view)
    power = float(average.abs().square().sum(1).min())
    for i in range(count):
        template = band.rotate_all(average[view[i : i + 1]], found.angle[i])[0]
        template = template * band.shift_ramps(found.shift_x[i], found.shift_y[i])
        difference = band.to_images(template * ctf[i, band.ring] - y[i])
        literal = float(difference.square().sum() - band.to_images(y[i]).square().sum())
        assert float(found.score[i, 0]) == pytest.approx(-0.5 * literal, abs=0.005 * power)


def noisy_set(box: int = 32, count: int = 90, noise: float = 1.0) -> tuple[Vectors, Tensor, Tensor]:
    band = Band.make(box, 9.0)
    poses = random_poses(count, 0.1 * box)
    images, view = planted(box, count, poses)
    return as_particles(images, band, noise), view, poses


def equal(first: Matches, second: Matches) -> None:
    for name in ("classes", "angle", "shift_x", "shift_y"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    torch.testing.assert_close(first.score, second.score, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2**16, 2**20])
def test_tiles_do_not_matter(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    particles, _, _ = noisy_set()
    band, schedule = particles.band, nested_schedule(32, 9.0)
    arguments = (particles, references(band), schedule, whole_space(band))
    whole, literal = exhaustive(*arguments, keep=2), literal_exhaustive(*arguments, keep=2)
    refined = refine(particles, references(band), band, schedule.local[0], whole)
    for module in (exhaustive_search, local_search):
        monkeypatch.setattr(module, "SCORE_BYTES", size)
    monkeypatch.setattr(literal_search, "TEMPLATE_BYTES", size)
    monkeypatch.setattr(local_search, "ROWS", 7)
    equal(exhaustive(*arguments, keep=2), whole)
    equal(literal_exhaustive(*arguments, keep=2), literal)
    equal(refine(particles, references(band), band, schedule.local[0], whole), refined)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_particles_may_be_shifted_instead_of_templates(monkeypatch: pytest.MonkeyPatch, kind: torch.dtype) -> None:
    particles, _, _ = noisy_set()
    band, schedule = particles.band, nested_schedule(32, 9.0)
    monkeypatch.setenv(SCORING, str(kind).removeprefix("torch."))
    arguments = (particles, references(band), schedule, whole_space(band))
    one, other = (search(*arguments, keep=3) for search in (literal_exhaustive, exhaustive))
    if kind == torch.float32:
        equal(one, other)
    assert ((one.angle == other.angle) & (one.shift_x == other.shift_x))[:, 0].float().mean() > 0.97
    torch.testing.assert_close(one.score, other.score, rtol=0.01, atol=0.01 * float(one.score.abs().max()))


def test_few_digits_find_the_same_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scores may be bfloat16: what is kept has been scored again, at every shift."""
    particles, _, _ = noisy_set(count=600)
    band, schedule = particles.band, nested_schedule(32, 9.0)
    found = []
    for kind in (torch.float32, torch.bfloat16):
        monkeypatch.setenv(SCORING, str(kind).removeprefix("torch."))
        found.append(exhaustive(particles, references(band), schedule, whole_space(band)))
    full, short = found
    assert ((full.angle == short.angle) & (full.shift_x == short.shift_x)).float().mean() > 0.99
    torch.testing.assert_close(full.score, short.score, rtol=1e-4, atol=1e-3)


def test_more_poses_are_kept_where_many_are_nearly_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    particles, _, _ = noisy_set()
    band, schedule = particles.band, nested_schedule(32, 9.0)
    faint = Vectors(particles.z * 0.05, particles.q * 0.05, band)
    live = []

    def spy(particles: Vectors, references: Tensor, band: Band, level: object, matches: Matches) -> Matches:
        live.append((matches.score > -torch.inf).sum(1))
        return matches

    monkeypatch.setattr(exhaustive_search, "refine", spy)
    for some in (particles, faint):
        locate(some, references(band), schedule, whole_space(band), (4, 2))
    clear, doubtful = live
    assert bool((clear >= 4).all())
    assert bool((doubtful == 4 * exhaustive_search.DOUBTFUL).all())
    assert float(clear.float().mean()) < 4 * exhaustive_search.DOUBTFUL


@pytest.mark.parametrize(
    ("scores", "usual", "rivals", "expected"),
    [
        ([100.0, 70.0, 59.0, 95.0], 3, False, [True, True, False, True]),
        ([100.0, 70.0, 59.0, 91.0], 3, True, [True, True, True, False]),
        ([20.0, 0.0, -5.0, 13.0], 3, False, [True, True, False, True]),
        ([-50.0, -60.0, -80.0, -57.0], 3, False, [True, True, False, True]),
        ([0.0, -1e9], 2, False, [True, False]),
    ],
)
def test_poses_that_cannot_win_any_more_are_not_refined(
    scores: list[float], usual: int, rivals: bool, expected: list[bool]
) -> None:
    assert exhaustive_search._promising(torch.tensor([scores]), usual, rivals)[0].tolist() == expected


def test_particles_are_independent_of_their_batch() -> None:
    particles, _, _ = noisy_set()
    band, schedule = particles.band, nested_schedule(32, 9.0)
    keep = (4, 3, 2, 1)
    whole = locate(particles, references(band), schedule, whole_space(band), keep)
    halves = [
        locate(particles.rows(rows), references(band), schedule, whole_space(band), keep)
        for rows in (slice(0, 31), slice(31, None))
    ]
    equal(Matches.join(halves, 0), whole)


def test_kept_matches_are_the_best_and_differ() -> None:
    particles, _, _ = noisy_set()
    band, schedule = particles.band, nested_schedule(32, 9.0)
    arguments = (particles, references(band), schedule, whole_space(band))
    one, three = exhaustive(*arguments, keep=1), exhaustive(*arguments, keep=3)
    assert three.score.shape == (len(particles), 3)
    assert torch.all(three.score.diff(dim=1) <= 0)
    equal(three.best(1), one)
    place = torch.stack((three.classes.float(), three.angle, three.shift_x, three.shift_y), -1)
    assert all(len(torch.unique(places, dim=0)) == 3 for places in place)


def test_levels_refine_to_the_truth() -> None:
    box, count = 64, 45
    band, schedule = Band.make(box, 20.0), nested_schedule(box, 20.0)
    poses = random_poses(count, 0.11 * box)
    images, view = planted(box, count, poses)
    particles, average = as_particles(images, band), references(band)
    matches = exhaustive(particles, average, schedule, whole_space(band.narrowed(schedule.exhaustive.radius)), 4)
    for level in schedule.local:
        still = refine(particles, average, band, level, matches, around=0)
        finer = refine(particles, average, band, level, matches)
        assert torch.all(finer.score >= still.score - 1e-2)
        matches = finer
    best = matches.best(1)
    assert torch.equal(best.classes[:, 0], view)
    angle = angle_error_deg(best.angle[:, 0], poses[:, 0])
    assert float(angle.max()) < 2.0
    assert float(angle.median()) < 0.5
    error = torch.hypot(best.shift_x[:, 0] - poses[:, 1], best.shift_y[:, 0] - poses[:, 2])
    assert float(error.max()) < 1.0
    assert float(error.median()) < 0.3


def test_ctf_in_the_model() -> None:
    """Each particle through a CTF of its own, in noise: matching without the CTF does clearly worse."""
    box, count = 32, 120
    band, schedule = Band.make(box, 9.0), nested_schedule(box, 9.0)
    poses = random_poses(count, 0.1 * box, seed=3)
    images, view = planted(box, count, poses)
    ctf = radial(band, torch.linspace(10, 40, count))
    particles, y = seen_through(ctf, images, band, noise=0.35)
    basis, average = whole_space(band), references(band)
    found = locate(particles, average, schedule, basis, (6, 4, 2, 1)).best(1)
    right = found.classes[:, 0] == view
    blind = Vectors(y, torch.ones_like(ctf), band)
    guessed = locate(blind, average, schedule, basis, (6, 4, 2, 1)).best(1).classes[:, 0] == view
    assert float(right.float().mean()) > 0.95
    assert float(right.float().mean()) > float(guessed.float().mean()) + 0.1
    assert float(angle_error_deg(found.angle[right, 0], poses[right, 0]).median()) < 5.0


def test_a_truncated_basis_still_finds_the_class() -> None:
    particles, view, _ = noisy_set(count=300, noise=0.5)
    band, schedule = particles.band, nested_schedule(32, 9.0)
    basis = FourierPCA(0.75).partial_fit(as_real(particles.z)).finalize()
    assert basis.components_.shape[1] < len(band)
    for search in (literal_exhaustive, exhaustive):
        found = search(particles, references(band), schedule, basis).best(1)
        assert float((found.classes[:, 0] == view).float().mean()) > 0.97


def test_axes_of_references_leave_out_less_than_the_basis() -> None:
    """Half of what it does or less, of what differs among turned references, on fewer axes."""
    particles, _, _ = noisy_set(count=300)
    band, level = particles.band, nested_schedule(32, 9.0).exhaustive
    basis = FourierPCA(0.75).partial_fit(as_real(particles.z)).finalize()
    features = as_real(template_bank.turned(references(band), band, level)).flatten(0, 1)
    axes = reference_axes(features, basis)
    apart = features - features.mean(0)

    def kept(values: Tensor, one: FourierPCA) -> Tensor:
        return one.transform(values) @ one.components_.T

    left_out = [float((apart - kept(apart, one)).square().sum(1).mean()) for one in (basis, axes)]
    assert left_out[1] <= 0.5 * left_out[0]
    assert axes.components_.shape[1] < 0.3 * basis.components_.shape[1]
    torch.testing.assert_close(axes.components_.T @ axes.components_, torch.eye(axes.components_.shape[1]))
    nothing_lost = reference_axes(features, whole_space(band))
    torch.testing.assert_close(kept(features, nothing_lost), features, atol=1e-3, rtol=0)


def test_some_classes_are_compared_along_the_axes_of_all() -> None:
    """So that several processes, each with some of the classes, find what one finds."""
    particles, _, _ = noisy_set(count=60)
    band, schedule = particles.band, nested_schedule(32, 9.0)
    basis = FourierPCA(0.75).partial_fit(as_real(particles.z)).finalize()
    bank = template_bank.Bank.make(references(band), band, schedule.exhaustive, basis)
    parts = []
    for part in (slice(0, 1), slice(1, 3)):
        parts.append(exhaustive_in(bank.among(part), particles, schedule, keep=2))
        parts[-1].classes += part.start
    equal(Matches.join(parts, 1).best(2), exhaustive(particles, references(band), schedule, basis, keep=2))


@pytest.mark.parametrize("search", [exhaustive, literal_exhaustive])
def test_no_particles_have_no_poses(search: Callable[..., Matches]) -> None:
    """One of several processes may have none."""
    particles, _, _ = noisy_set()
    band, schedule = particles.band, nested_schedule(32, 9.0)
    nothing = particles.rows(slice(0))
    found = search(nothing, references(band), schedule, whole_space(band), keep=3)
    assert found.score.shape == (0, 3)


@pytest.mark.parametrize("scoring", KINDS)
def test_the_mean_of_references_does_not_take_the_place_of_what_differs(
    monkeypatch: pytest.MonkeyPatch, scoring: str
) -> None:
    """Power that all references have alike tells none of them from another, however much the basis leaves out of it.

    Nor however few digits there are.
    """
    monkeypatch.setenv(SCORING, scoring)
    band, schedule = Band.make(32, 9.0), nested_schedule(32, 9.0)
    poses, view = random_poses(300, 3.2), torch.arange(300) % len(VIEWS)
    views = [[*places, (0.0, 0.0, 0.2, 3.0)] for places in VIEWS]
    images = torch.cat([stack(32, views[k], poses[i : i + 1]) for i, k in enumerate(view.tolist())])
    particles = as_particles(images, band, 0.5)
    basis = FourierPCA(0.75).partial_fit(as_real(particles.z)).finalize()
    alike = band.to_vectors(torch.stack([torch.from_numpy(spots(32, places)) for places in views]))
    found = exhaustive(particles, alike, schedule, basis).best(1)
    assert float((found.classes[:, 0] == view).float().mean()) > 0.97


def test_a_truncated_basis_does_not_favour_faint_classes() -> None:
    """What the PCA leaves out of <z, x> it must leave out of |x|² too, or the class of least power wins."""
    band, schedule = Band.make(32, 9.0), nested_schedule(32, 9.0)
    images, view = planted(32, 150, random_poses(150, 3.0))
    strength = torch.tensor([1.0, 0.8, 0.6])
    particles = as_particles(4 * images * strength[view, None, None], band, noise=1.0)
    half = torch.randn(2 * len(band), len(band) // 2, generator=torch.Generator().manual_seed(0))
    basis = FourierPCA.restored(0.25, torch.linalg.qr(half).Q, torch.ones(2 * len(band)))
    average = 4 * references(band) * strength[:, None]
    found = literal_exhaustive(particles, average, schedule, basis).best(1)
    assert float((found.classes[:, 0] == view).float().mean()) > 0.97
    # The score is the distance in the PCA space: about a quarter of the features keeps a quarter of it.
    share = found.score[:, 0] / (0.5 * average.abs().square().sum(1)[view])
    assert 0.15 < float(share.median()) < 0.3
    for search in (literal_exhaustive, exhaustive):
        nothing = search(particles, torch.cat((average, 0 * average[:1])), schedule, basis)
        assert torch.isfinite(nothing.score).all()
        assert float((nothing.classes[:, 0] == view).float().mean()) > 0.9


def test_best_orders_by_score_and_rows_choose_particles() -> None:
    score = torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]])
    numbers = torch.arange(6).view(2, 3)
    matches = Matches(numbers, numbers * 0.1, numbers * 1.0, numbers * -1.0, score)
    best = matches.best(2)
    assert best.classes.tolist() == [[1, 2], [5, 3]]
    assert best.score.tolist() == [[3.0, 2.0], [5.0, 0.0]]
    torch.testing.assert_close(best.angle, best.classes * 0.1)
    assert matches.best(9).score.shape == (2, 3)
    assert matches.rows(torch.tensor([1])).shift_y.tolist() == [[-3.0, -4.0, -5.0]]
    joined = Matches.join([matches, matches], 1)
    assert all(getattr(joined, name).shape == (2, 6) for name in NAMES)
    copy = matches.clone()
    copy.score += 1
    assert matches.score[0, 0] == 1.0
