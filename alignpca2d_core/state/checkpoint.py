"""Where a classification stands, on disk: it continues from the last stage that was finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..alignment.fourier_pca import FourierPCA
from ..alignment.matches import Matches
from ..alignment.search_grids import Screen
from ..averaging.class_averages import ClassSums
from ..fourier.band import Band
from ..preprocessing.image_sieve import Sieve
from ..preprocessing.preprocess import Whitening
from ..runtime import distributed
from .tensor_schema import Entry
from .tensor_store import State, complex_key

FIRST_STATE, SECOND_STATE = "references", "matches"
"""After stage 1 and after stage 2."""
MATCHES = ("classes", "angle", "shift_x", "shift_y", "score")
WHITENING = ("noise", "ctf_square", "first", "correction")
ON_CPU = ("usable", "sieved", "damaged", "rows", "generator")
TOTAL = complex_key("total")
SUMS = {
    TOTAL: Entry(torch.complex64, (2, "classes", "coefficients")),
    "weight": Entry(torch.float32, (2, "classes", "rings")),
    "count": Entry(torch.float32, (2, "classes")),
}
REFERENCES = {
    **SUMS,
    "components": Entry(torch.float32, ("features", "components")),
    "spectrum": Entry(torch.float32, ("features",)),
    **{name: Entry(torch.float32, ("rings",)) for name in WHITENING},
    "usable": Entry(torch.bool, ("particles",)),
    "sieved": Entry(torch.bool, ("particles",)),
    "sieve": Entry(torch.float32, ("rows of the sieve", "figures")),
    "generator": Entry(torch.uint8, ("bytes",)),
}
FOUND = {
    **SUMS,
    **{name: Entry(torch.float32, ("rows", "kept")) for name in MATCHES},
    "classes": Entry(torch.int64, ("rows", "kept"), below="classes"),
    "rows": Entry(torch.int64, ("rows",), below="particles"),
    "usable": Entry(torch.bool, ("particles",)),
    "sieved": Entry(torch.bool, ("particles",)),
}
"""What the tensors of each state must look like."""


@dataclass(frozen=True)
class FirstStage:
    """What stage 1 leaves: everything that stage 2 begins with.

    Attributes
    ----------
    sums : ClassSums
        Of the distinct views, (2, v, m).
    basis : FourierPCA
    whitening : Whitening
    usable, sieved : (particles,) bool array
    sieve : Sieve or None
    generator : Tensor
        State of the random numbers, (bytes,) uint8.
    screen : Screen or None
        How poses are screened.
    scales : (micrographs,) float32 array, optional
        See :class:`.MicrographScales`; None where an earlier version has stored none.
    damaged : (particles,) bool array, optional
        Those of what cannot be used that borders, gold or dust cover; None as before.
    """

    sums: ClassSums
    basis: FourierPCA
    whitening: Whitening
    usable: NDArray[np.bool_]
    sieved: NDArray[np.bool_]
    sieve: Sieve | None
    generator: Tensor
    screen: Screen | None = None
    scales: NDArray[np.float32] | None = None
    damaged: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SecondStage:
    """What stage 2 leaves: the views and poses of all particles.

    Attributes
    ----------
    sums : ClassSums
        Of the distinct views, (2, v, m).
    matches : Matches
        Of the rows, (n, kept).
    rows : (n,) int64 array
        Particles that could be used, ascending.
    usable, sieved : (particles,) bool array
    scales, damaged : arrays, optional
        As after stage 1.
    """

    sums: ClassSums
    matches: Matches
    rows: NDArray[np.int64]
    usable: NDArray[np.bool_]
    sieved: NDArray[np.bool_]
    scales: NDArray[np.float32] | None = None
    damaged: NDArray[np.bool_] | None = None


class Checkpoint:
    """Saves and loads what the two stages leave; without a state it does nothing.

    Parameters
    ----------
    state : State, optional
        Where; of several ranks the first writes.
    resume : bool
        Whether what is there is to be loaded.
    """

    def __init__(self, state: State | None = None, resume: bool = False) -> None:
        self.state, self.resume = state, resume

    def save_first(self, done: FirstStage) -> None:
        """After stage 1."""
        if self.state is None or not distributed.is_first():
            return
        tensors = {"components": done.basis.components_, "spectrum": done.basis.spectrum_, "generator": done.generator}
        tensors |= _sums(done.sums) | whitening_tensors(done.whitening)
        flags = {"usable": torch.from_numpy(done.usable), "sieved": torch.from_numpy(done.sieved)}
        figures = {"sieve": sieve_tensor(done.sieve), "screen": screen_tensor(done.screen)}
        self.state.save(FIRST_STATE, tensors | flags | figures | _optional(done))

    def load_first(self, variance: float, band: Band, particles: int) -> FirstStage | None:
        """Stage 1 as it was saved, on the band's device; None where it was not, or is not asked for.

        Raises
        ------
        InputError
            When it is damaged, or does not fit band and number of particles.
        """
        found = self._load(FIRST_STATE, REFERENCES, band, particles)
        if found is None:
            return None
        t = {name: value.to(band.device) for name, value in found.items() if name not in ON_CPU}
        return FirstStage(
            ClassSums(t[TOTAL], t["weight"], t["count"]),
            FourierPCA.restored(variance, t["components"], t["spectrum"]),
            whitening_of(t),
            found["usable"].numpy(),
            found["sieved"].numpy(),
            sieve_of(t["sieve"]),
            found["generator"],
            screen_of(t.get("screen")),
            _scales_of(found),
            _damaged_of(found, particles),
        )

    def save_second(self, done: SecondStage) -> None:
        """After stage 2."""
        if self.state is None or not distributed.is_first():
            return
        tensors = {name: getattr(done.matches, name) for name in MATCHES} | _sums(done.sums)
        arrays = {"rows": done.rows, "usable": done.usable, "sieved": done.sieved}
        rows = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self.state.save(SECOND_STATE, tensors | rows | _optional(done))

    def load_second(self, band: Band, particles: int) -> SecondStage | None:
        """Stage 2 as it was saved, as :meth:`load_first`."""
        found = self._load(SECOND_STATE, FOUND, band, particles)
        if found is None:
            return None
        t = {name: value.to(band.device) for name, value in found.items() if name not in ON_CPU}
        sums, matches = ClassSums(t[TOTAL], t["weight"], t["count"]), Matches(*(t[name] for name in MATCHES))
        rows, usable, sieved = (found[name].numpy() for name in ("rows", "usable", "sieved"))
        return SecondStage(sums, matches, rows, usable, sieved, _scales_of(found), _damaged_of(found, particles))

    def _load(self, name: str, entries: dict[str, Entry], band: Band, particles: int) -> dict[str, Tensor] | None:
        if self.state is None or not self.resume:
            return None
        return self.state.load(name, entries=entries, coefficients=len(band), rings=band.rings, particles=particles)


def sieve_tensor(sieve: Sieve | None) -> Tensor:
    """A sieve as a tensor, (2, figures); (0, 0) where there is none."""
    return torch.zeros(0, 0) if sieve is None else torch.stack((sieve.centre, sieve.spread))


def sieve_of(stored: Tensor) -> Sieve | None:
    """The sieve that :func:`sieve_tensor` has stored."""
    return None if not len(stored) else Sieve(stored[0], stored[1])


def screen_tensor(screen: Screen | None) -> Tensor:
    """A screen as a tensor, (3,); (0,) where there is none."""
    figures = [] if screen is None else [screen.components, screen.sparse, screen.margin]
    return torch.tensor(figures, dtype=torch.float64)


def screen_of(stored: Tensor | None) -> Screen | None:
    """The screen that :func:`screen_tensor` has stored; None also where an earlier version has stored nothing."""
    if stored is None or stored.numel() != 3:
        return None
    components, sparse, margin = stored.tolist()
    return Screen(int(components), bool(sparse), margin)


def _optional(done: FirstStage | SecondStage) -> dict[str, Tensor]:
    arrays = {"scales": done.scales, "damaged": done.damaged}
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}


def _scales_of(found: Mapping[str, Tensor]) -> NDArray[np.float32] | None:
    """Scales as they were stored; None where they are none that could be used."""
    stored = found.get("scales")
    usable = stored is not None and stored.dtype == torch.float32 and stored.ndim == 1 and bool((stored > 0).all())
    return stored.numpy() if usable and stored is not None else None


def _damaged_of(found: Mapping[str, Tensor], particles: int) -> NDArray[np.bool_] | None:
    """Damaged images as they were stored; None where they are none that could be used."""
    stored = found.get("damaged")
    usable = stored is not None and stored.dtype == torch.bool and stored.shape == (particles,)
    return stored.numpy() if usable and stored is not None else None


def _sums(sums: ClassSums) -> dict[str, Tensor]:
    return {TOTAL: sums.total, "weight": sums.weight, "count": sums.count}


def whitening_tensors(learned: Whitening) -> dict[str, Tensor]:
    """A whitening as tensors (rings,) by their names."""
    first, correction = learned.first, learned.correction
    if first is None or correction is None:
        first, correction = learned.noise.clone(), torch.ones_like(learned.noise)
    return dict(zip(WHITENING, (learned.noise, learned.ctf_square, first, correction), strict=True))


def whitening_of(stored: Mapping[str, Tensor]) -> Whitening:
    """The whitening that :func:`whitening_tensors` has stored; in one step where an earlier version has stored it."""
    return Whitening(stored["noise"], stored["ctf_square"], stored.get("first"), stored.get("correction"))
