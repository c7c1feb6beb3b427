"""Where a classification stands, on disk: it continues from the last stage that was finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .basis import FourierPCA
from .classes import ClassSums
from .preprocess import Whitening
from .search import Matches
from .state import State, complex_key

if TYPE_CHECKING:
    from .classifier import Classifier

MATCHES = ("classes", "angle", "shift_x", "shift_y", "score")
TOTAL = complex_key("total")


class Checkpoint:
    """Saves and restores the two states between stages; without a state it does nothing."""

    def __init__(self, state: State | None = None, resume: bool = False) -> None:
        self.state, self.resume = state, resume

    def save_references(self, run: Classifier) -> None:
        """After stage 1: the parents, the PCA, the whitening and the random numbers' state."""
        if self.state is None:
            return
        whitening = run.source.whitening
        self.state.save(
            "references",
            {
                TOTAL: run.sums.total,
                "weight": run.sums.weight,
                "count": run.sums.count,
                "components": run.basis.components_,
                "spectrum": run.basis.spectrum_,
                "noise": whitening.noise,
                "ctf_square": whitening.ctf_square,
                "usable": torch.from_numpy(run.source.usable),
                "generator": run.generator.get_state(),
            },
        )

    def restore_references(self, run: Classifier) -> bool:
        """Whether stage 1 was found and restored."""
        found = self.state.load("references") if self.state is not None and self.resume else None
        if found is None:
            return False
        device = run.band.device
        run.sums = ClassSums(*(found[key].to(device) for key in (TOTAL, "weight", "count")))
        run.basis = FourierPCA.restored(
            run.settings.variance, found["components"].to(device), found["spectrum"].to(device)
        )
        run.source.whitening = Whitening(found["noise"].to(device), found["ctf_square"].to(device))
        run.source.usable &= found["usable"].numpy()
        run.generator.set_state(found["generator"])
        run.progress.say("Continuing after stage 1")
        return True

    def save_matches(self, run: Classifier) -> None:
        """After stage 2: the poses of every particle, and their sums."""
        if self.state is None:
            return
        tensors = {name: getattr(run.found, name) for name in MATCHES}
        tensors.update({TOTAL: run.sums.total, "weight": run.sums.weight, "count": run.sums.count})
        rows, usable = torch.from_numpy(run.rows_), torch.from_numpy(run.source.usable)
        self.state.save("matches", {**tensors, "rows": rows, "usable": usable})

    def restore_matches(self, run: Classifier) -> bool:
        """Whether stage 2 was found and restored."""
        found = self.state.load("matches") if self.state is not None and self.resume else None
        if found is None:
            return False
        device = run.band.device
        run.found = Matches(*(found[name].to(device) for name in MATCHES))
        run.sums = ClassSums(*(found[key].to(device) for key in (TOTAL, "weight", "count")))
        run.rows_ = found["rows"].numpy()
        run.source.usable &= found["usable"].numpy()
        run.progress.say("Continuing after stage 2")
        return True
