"""Where a classification stands, on disk: it continues from the last stage that was finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..alignment.fourier_pca import FourierPCA
from ..alignment.matches import Matches
from ..averaging.class_averages import ClassSums
from ..preprocessing.preprocess import Whitening
from ..runtime import distributed
from .tensor_schema import Entry
from .tensor_store import State, complex_key

if TYPE_CHECKING:
    from ..classification.classifier import Classifier

FIRST_STATE, SECOND_STATE = "references", "matches"
"""After stage 1 and after stage 2."""
MATCHES = ("classes", "angle", "shift_x", "shift_y", "score")
WHITENING = ("noise", "ctf_square", "first", "correction")
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
    "generator": Entry(torch.uint8, ("bytes",)),
}
FOUND = {
    **SUMS,
    **{name: Entry(torch.float32, ("rows", "kept")) for name in MATCHES},
    "classes": Entry(torch.int64, ("rows", "kept"), below="classes"),
    "rows": Entry(torch.int64, ("rows",), below="particles"),
    "usable": Entry(torch.bool, ("particles",)),
}
"""What the tensors of each state must look like."""


class Checkpoint:
    """Saves and restores the two states between stages; without a state it does nothing."""

    def __init__(self, state: State | None = None, resume: bool = False) -> None:
        self.state, self.resume = state, resume

    def save_references(self, run: Classifier) -> None:
        """After stage 1: the parents, the PCA, the whitening and the random numbers' state."""
        if self.state is None or not distributed.is_first():
            return
        self.state.save(
            FIRST_STATE,
            {
                TOTAL: run.sums.total,
                "weight": run.sums.weight,
                "count": run.sums.count,
                "components": run.basis.components_,
                "spectrum": run.basis.spectrum_,
                **self._whitening(run.source.whitening),
                "usable": torch.from_numpy(run.source.usable),
                "generator": run.generator.get_state(),
            },
        )

    @staticmethod
    def _whitening(learned: Whitening) -> dict[str, torch.Tensor]:
        first, correction = learned.first, learned.correction
        if first is None or correction is None:
            first, correction = learned.noise.clone(), torch.ones_like(learned.noise)
        return dict(zip(WHITENING, (learned.noise, learned.ctf_square, first, correction), strict=True))

    def restore_references(self, run: Classifier) -> bool:
        """Whether stage 1 was found and restored."""
        found = self._load(FIRST_STATE, REFERENCES, run)
        if found is None:
            return False
        device = run.band.device
        run.sums = ClassSums(*(found[key].to(device) for key in (TOTAL, "weight", "count")))
        run.basis = FourierPCA.restored(
            run.settings.variance, found["components"].to(device), found["spectrum"].to(device)
        )
        run.source.whitening = Whitening(*(found[name].to(device) for name in WHITENING))
        run.source.usable &= found["usable"].numpy()
        run.generator.set_state(found["generator"])
        run.progress.say("Continuing after stage 1")
        return True

    def save_matches(self, run: Classifier) -> None:
        """After stage 2: the poses of every particle, and their sums."""
        if self.state is None or not distributed.is_first():
            return
        tensors = {name: getattr(run.found, name) for name in MATCHES}
        tensors.update({TOTAL: run.sums.total, "weight": run.sums.weight, "count": run.sums.count})
        rows, usable = torch.from_numpy(run.members_.rows), torch.from_numpy(run.source.usable)
        self.state.save(SECOND_STATE, {**tensors, "rows": rows, "usable": usable})

    def restore_matches(self, run: Classifier) -> bool:
        """Whether stage 2 was found and restored."""
        found = self._load(SECOND_STATE, FOUND, run)
        if found is None:
            return False
        device = run.band.device
        run.found = Matches(*(found[name].to(device) for name in MATCHES))
        run.sums = ClassSums(*(found[key].to(device) for key in (TOTAL, "weight", "count")))
        run.members_ = run.members_of(found["rows"].numpy())
        run.source.usable &= found["usable"].numpy()
        run.progress.say("Continuing after stage 2")
        return True

    def _load(self, name: str, entries: dict[str, Entry], run: Classifier) -> dict[str, torch.Tensor] | None:
        """A state that fits the run, where one is to be continued."""
        if self.state is None or not self.resume:
            return None
        coefficients, particles = len(run.band), len(run.source.usable)
        return self.state.load(
            name, entries=entries, coefficients=coefficients, rings=run.band.rings, particles=particles
        )
