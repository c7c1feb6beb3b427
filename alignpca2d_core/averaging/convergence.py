"""How much one round of a classification differs from the one before, for the progress and the summary."""

from __future__ import annotations

import torch
from torch import Tensor

from ..alignment.matches import Matches
from ..runtime.progress import Stage


def changed_share(before: Tensor, after: Tensor) -> float:
    """Share of particles that changed class between two assignments (n,); classes may be numbered differently.

    An old class and a new one count as the same where most particles of the old one are in the new one, and most of
    the new one come from the old one. All particles that are not in both have changed: of a class that was split the
    smaller part, of two that were merged the smaller one.
    """
    if not len(before):
        return 0.0
    rows, columns = (torch.stack((before.max(), after.max())) + 1).tolist()
    table = torch.zeros(rows, columns, dtype=torch.int64, device=before.device)
    table.index_put_((before, after), torch.ones_like(before), accumulate=True)
    successor, origin = table.argmax(1), table.argmax(0)
    old = torch.arange(len(table), device=table.device)
    kept = table[old, successor][origin[successor] == old].sum()
    return 1.0 - int(kept) / len(before)


def record_round(stage: Stage, changed: float | None, matches: Matches, classes: int, note: str = "") -> None:
    """Write down a round that ended with ``matches`` (n, kept), and which share it changed, where it has one before."""
    score = float(matches.score[:, 0].double().mean())
    stage.record("rounds", round=stage.recorded("rounds") + 1, classes=classes, changed=changed, score=score)
    stage.advance(note=note)
