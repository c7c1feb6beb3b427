"""Any value of any option, and any numbers: refused in one line, or taken as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alignpca2d_core.errors import InputError
from alignpca2d_core.settings import SimulationSettings

OPTIONS = ("classes", "resolution", "variance", "sampling-rate", "batch-size", "initial-particles", "iterations")
OPTIONS += ("mask-diameter", "seed", "threads", "ctf", "preset", "device", "references", "revisit")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    option=st.sampled_from(OPTIONS),
    value=st.one_of(st.integers().map(str), st.floats().map(str), st.text(st.characters(codec="utf-8"), max_size=12)),
)
def test_any_value_of_any_option(
    run_cli: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, option: str, value: str
) -> None:
    """There is no input, so every run is refused: by the option, or for want of its input."""
    folder = tmp_path_factory.getbasetemp()
    outcome = run_cli("classify", folder / "none.xmd", "-o", folder / "never", f"--{option}={value}", "--quiet")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert option in outcome.err or "none.xmd" in outcome.err
    assert not (folder / "never").exists()


@settings(max_examples=100, deadline=None)
@given(values=st.dictionaries(st.sampled_from(["particles", "views", "box", "snr", "defocus_min"]), st.floats()))
def test_any_numbers_for_a_simulation(values: dict[str, float]) -> None:
    """Bounds hold for NaN and infinity too."""
    try:
        made = SimulationSettings(**values)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert all(np.isfinite(value) for name, value in values.items() if name not in ("snr", "particles"))
        assert made.box >= 16
