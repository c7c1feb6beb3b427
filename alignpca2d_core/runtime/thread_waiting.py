"""How OpenMP's threads wait for each other; to be set before PyTorch is loaded, so it is not imported here."""

from __future__ import annotations

import os

SPINS = "1000"
CHOSEN_BY = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """Have a thread that waits for another one sleep after some microseconds, unless the environment says otherwise.

    GNU OpenMP, which PyTorch's CPU builds use, lets it spin 300,000 times.  A spinning thread holds a core that the one
    it waits for may need: with another job on the machine a run took twice as long and twice the CPU time.  With no
    spinning at all it took a third longer where it was alone.
    """
    if not any(name in os.environ for name in CHOSEN_BY):
        os.environ["GOMP_SPINCOUNT"] = SPINS
