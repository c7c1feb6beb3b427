"""Poses ruled out by few components: what is left holds the best pose, and costs less."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from blobs import Spot, as_particles, random_poses, spots, stack
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from alignpca2d_core.alignment import exhaustive_search, screen_learning, screening
from alignpca2d_core.alignment.exhaustive_search import exhaustive, locate
from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.alignment.matches import Matches
from alignpca2d_core.alignment.scoring_precision import SCORING
from alignpca2d_core.alignment.screen_learning import learned_screen, pays
from alignpca2d_core.alignment.screening import FirstScores, Screening
from alignpca2d_core.alignment.search_grids import Schedule, Screen, nested_schedule
from alignpca2d_core.alignment.template_bank import Bank
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.state.checkpoint import screen_of, screen_tensor

BOX, VIEWS = 32, 24
NOISE = 1.2


@pytest.fixture(autouse=True)
def scored_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, so that the two ways of searching round alike; and with a screen for few classes too."""
    monkeypatch.setenv(SCORING, "float32")
    monkeypatch.setattr(screen_learning, "LEAST_WORK", 0.0)


@pytest.fixture(scope="module")
def band() -> Band:
    return Band.make(BOX, 9.0)


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return nested_schedule(BOX, 9.0, 4 / 3)


@pytest.fixture(scope="module")
def places() -> list[list[Spot]]:
    """Four spots for each view, at random."""
    generator = torch.Generator().manual_seed(5)
    found = (torch.rand(VIEWS, 4, 2, generator=generator) - 0.5) * 0.6
    return [[(x, y, 0.07, 1.0) for x, y in view] for view in found.tolist()]


@pytest.fixture(scope="module")
def references(band: Band, places: list[list[Spot]]) -> Tensor:
    return band.to_vectors(torch.stack([torch.from_numpy(spots(BOX, view)) for view in places]))


def seen(band: Band, places: list[list[Spot]], count: int, seed: int) -> Vectors:
    """Noisy particles of the views in turn, turned and shifted at random."""
    poses = random_poses(count, 0.1 * BOX, seed=seed)
    images = torch.cat([stack(BOX, places[i % VIEWS], poses[i : i + 1]) for i in range(count)])
    return as_particles(images, band, NOISE)


@pytest.fixture(scope="module")
def particles(band: Band, places: list[list[Spot]]) -> Vectors:
    return seen(band, places, 240, 1)


@pytest.fixture(scope="module")
def basis(particles: Vectors, schedule: Schedule) -> FourierPCA:
    narrow = particles.narrowed(schedule.exhaustive.radius)
    pca = FourierPCA(0.9).partial_fit(as_real(narrow.z))
    return pca.symmetrise(narrow.band.symmetries()).finalize()


@pytest.fixture
def bank(band: Band, references: Tensor, schedule: Schedule, basis: FourierPCA) -> Bank:
    return Bank.make(references, band, schedule.exhaustive, basis)


@pytest.fixture
def full(
    scored_in_full: None, particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA
) -> Matches:
    return exhaustive(particles, references, schedule, basis, keep=3)


def same(found: Matches, wanted: Matches) -> Tensor:
    """Whose best pose is the same."""
    alike = [getattr(found, n)[:, 0] == getattr(wanted, n)[:, 0] for n in ("classes", "angle", "shift_x", "shift_y")]
    return torch.stack(alike).all(0)


@pytest.mark.parametrize("sparse", [False, True])
def test_nothing_is_ruled_out_by_an_endless_margin(
    sparse: bool, particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, full: Matches
) -> None:
    everything = replace(schedule, screen=Screen(8, sparse, 1e9))
    found = exhaustive(particles, references, everything, basis, keep=3)
    assert bool(same(found, full).all())
    torch.testing.assert_close(found.score, full.score, rtol=1e-4, atol=1e-3)


def test_blocks_whose_lists_are_shorter_than_what_is_kept(
    particles: Vectors,
    references: Tensor,
    schedule: Schedule,
    basis: FourierPCA,
    full: Matches,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With no margin a particle has little more than its rivals on its list, and not as many in every block."""
    monkeypatch.setattr(screening, "ROWS", 7)
    screened = replace(schedule, screen=Screen(64, False, 0.0))
    found = exhaustive(particles, references, screened, basis, keep=40)
    assert found.score.shape == (len(particles), 40)
    assert bool(found.score[:, 0].isfinite().all())
    assert not bool(found.score.isfinite().all())
    assert bool((found.score[:, 0] <= full.score[:, 0] + 1e-2).all())


def test_the_particles_that_a_screen_was_learned_from_keep_their_best_poses(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, full: Matches, bank: Bank
) -> None:
    screen = learned_screen(particles, full, bank, schedule)
    assert screen is not None
    found = exhaustive(particles, references, replace(schedule, screen=screen), basis)
    assert bool(same(found, full).all())
    narrower = replace(screen, margin=0.3 * screen.margin)
    missed = exhaustive(particles, references, replace(schedule, screen=narrower), basis)
    assert not bool(same(missed, full).all())


def test_so_do_nearly_all_others(
    band: Band,
    places: list[list[Spot]],
    particles: Vectors,
    references: Tensor,
    schedule: Schedule,
    basis: FourierPCA,
    full: Matches,
    bank: Bank,
) -> None:
    """With 240 particles to learn from the risk is one in 241; of 480 others that are two, give or take."""
    screened = replace(schedule, screen=learned_screen(particles, full, bank, schedule))
    others = seen(band, places, 480, 2)
    found, wanted = (exhaustive(others, references, one, basis) for one in (screened, schedule))
    assert float(same(found, wanted).float().mean()) >= 0.985
    # The local grids start from shorter lists as well.
    keep = (12, 6, 3, 2)
    found, wanted = (locate(others, references, one, basis, keep) for one in (screened, schedule))
    assert float(same(found, wanted).float().mean()) >= 0.97


def test_particles_are_independent_of_their_batch(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA
) -> None:
    screened = replace(schedule, screen=Screen(32, True, 2.0))
    whole = exhaustive(particles, references, screened, basis, keep=2)
    parts = [particles.rows(rows) for rows in (slice(0, 7), slice(7, 130), slice(130, None))]
    found = Matches.join([exhaustive(p, references, screened, basis, keep=2) for p in parts], 0)
    assert bool(same(found, whole).all())
    torch.testing.assert_close(found.score, whole.score, rtol=1e-4, atol=1e-3)


def test_every_particle_has_rivals(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA
) -> None:
    """However narrow the margin: what a particle would lose elsewhere is asked later."""
    narrow = replace(schedule, screen=Screen(32, False, 0.0))
    found = exhaustive(particles, references, narrow, basis, keep=64).of_distinct_classes()
    assert int((found.score > -torch.inf).sum(1).min()) >= 4


def test_multiplications_are_counted(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, full: Matches, bank: Bank
) -> None:
    """What the choice of a screen goes by is what torch counts, but for the rivals and the making of templates."""
    screen = learned_screen(particles, full, bank, schedule)
    assert screen is not None
    screening = Screening(bank, schedule, screen)
    listed = screening.listed_work(*screening.first_scores(particles).listed(screen.margin))
    expected = sum(screening.shown_work) + float(listed.mean())
    with FlopCounterMode(display=False) as counter:
        screening.nearest(particles, 1)
    counted = counter.get_total_flops() / 2 / len(particles)
    assert counted == pytest.approx(expected, rel=0.15)
    with FlopCounterMode(display=False) as counter:
        exhaustive(particles, references, schedule, basis)
    in_full = counter.get_total_flops() / 2 / len(particles)
    assert in_full > 3 * counted
    assert in_full == pytest.approx(sum(screening.full_work), rel=0.15)


def test_scores_between_the_shifts_shown_are_those_of_the_best_neighbour(bank: Bank, schedule: Schedule) -> None:
    screening = Screening(bank, schedule, Screen(8, True, 1.0))
    side = screening.side
    moves = torch.zeros(1, len(screening.shown))
    centre = int((screening.shown == side * side // 2).nonzero()[0, 0])
    moves[0, centre] = 1.0
    spread = screening._between_shifts(moves).view(side, side)
    middle = side // 2
    wanted = torch.zeros(side, side)
    for y, x in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)):
        wanted[middle + y, middle + x] = 1.0
    assert torch.equal(spread, wanted)


def test_no_screen_where_too_many_poses_may_win(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, full: Matches, bank: Bank
) -> None:
    """Best poses of other particles: to let these through, a screen has to let nearly all through."""
    shuffled = full.rows(torch.arange(len(full)).roll(1))
    assert learned_screen(particles, shuffled, bank, schedule) is None


def test_what_has_too_much_on_its_list_is_compared_with_everything(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, full: Matches, bank: Bank
) -> None:
    """Particles like noise: each is found as without a screen, whatever is beside it."""
    screen = replace(schedule, screen=Screen(48, False, 4.0))
    drawn = torch.Generator().manual_seed(4)
    noise = particles.q.sqrt()[:, particles.band.ring] * torch.randn(
        particles.z.shape, dtype=torch.complex64, generator=drawn
    )
    both = Vectors.join([particles, Vectors(noise, particles.q, particles.band)])
    left = Screening(bank, schedule, screen.screen).nearest(both, 3)[1]
    assert 0 < len(left) < len(both)
    found, of_all = (exhaustive(both, references, one, basis, keep=3) for one in (screen, schedule))
    assert bool(same(found.rows(left), of_all.rows(left)).all())
    torch.testing.assert_close(found.rows(left).score, of_all.rows(left).score, rtol=1e-4, atol=1e-3)


def test_lists_hold_what_is_near_the_best() -> None:
    first = FirstScores(torch.tensor([[20.0, 8.0, 1.0, -9.0]]), torch.tensor([[20.0, 13.0, 6.0]]))
    # The mean is 5, so that margins are counted in the root of 15.
    pairs, shifts = first.listed(2.0)
    assert pairs.tolist() == [[True, False, False, False]]
    assert shifts.tolist() == [[True, True, False]]
    assert first.listed(5.0)[0].tolist() == [[True, True, True, False]]


def test_a_search_of_many_learns_for_itself(
    particles: Vectors, references: Tensor, schedule: Schedule, basis: FourierPCA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exhaustive_search, "LEARNED_FROM", 60)
    learned: list[Screen | None] = []

    def spy(*arguments: object) -> Screen | None:
        learned.append(learned_screen(*arguments))  # type: ignore[arg-type]
        return learned[-1]

    monkeypatch.setattr(exhaustive_search, "learned_screen", spy)
    learning = replace(schedule, learns=True)
    exhaustive(particles, references, learning, basis)
    assert len(learned) == 1
    exhaustive(particles.rows(slice(0, 239)), references, learning, basis)
    assert len(learned) == 1


def test_a_screen_is_for_many_poses_on_a_cpu(bank: Bank, schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert not pays(bank, schedule)
    many = replace(bank, templates=bank.templates.repeat(200, 1))
    assert pays(many, schedule)
    assert not pays(replace(many, templates=many.templates.to("meta")), schedule)


@pytest.mark.parametrize("screen", [None, Screen(48, False, 2.25), Screen(64, True, 0.5)])
def test_a_screen_is_stored(screen: Screen | None) -> None:
    assert screen_of(screen_tensor(screen)) == screen
    assert screen_of(None) is None
