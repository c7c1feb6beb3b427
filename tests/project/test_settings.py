"""Every parameter is described once, with bounds that are enforced and errors that name the option."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignpca2d_core import settings as module
from alignpca2d_core.errors import InputError
from alignpca2d_core.settings import PAPER, Settings, value_type

PHYSICAL = {"resolution": "Å", "sampling_rate": "Å/px", "mask_diameter": "Å"}
SETTINGS_CLASSES = [
    value for value in vars(module).values() if isinstance(value, type) and dataclasses.is_dataclass(value)
]
OPTIONS = [(owner, option) for owner in SETTINGS_CLASSES for option in dataclasses.fields(owner)]
BOUNDED = [
    (owner, option, bound)
    for owner, option in OPTIONS
    for bound in ("low", "high")
    if option.metadata.get(bound) is not None
]


def label(value: Any) -> str | None:
    return value.name if isinstance(value, dataclasses.Field) else getattr(value, "__name__", None)


def option_of(owner: type, name: str) -> dataclasses.Field[Any]:
    return next(option for option in dataclasses.fields(owner) if option.name == name)


def test_there_is_something_to_test() -> None:
    assert Settings in SETTINGS_CLASSES
    assert {option.name for option in dataclasses.fields(Settings)} <= {option.name for _, option in OPTIONS}


@pytest.mark.parametrize(("owner", "option"), OPTIONS, ids=label)
def test_every_parameter_says_what_it_is(owner: type, option: dataclasses.Field[Any]) -> None:
    assert len(option.metadata["help"].split()) >= 2
    assert option.metadata["help"][0].islower() or option.metadata["help"].split()[0].isupper()
    assert value_type(option, owner) in (int, float, bool, str)


@pytest.mark.parametrize(("name", "unit"), PHYSICAL.items())
def test_physical_parameters_have_their_unit(name: str, unit: str) -> None:
    assert option_of(Settings, name).metadata["unit"] == unit


@pytest.mark.parametrize(("owner", "option"), OPTIONS, ids=label)
def test_every_number_has_a_lower_bound(owner: type, option: dataclasses.Field[Any]) -> None:
    if value_type(option, owner) in (int, float):
        assert option.metadata["low"] is not None


@pytest.mark.parametrize("owner", SETTINGS_CLASSES)
def test_defaults_are_within_their_bounds(owner: type) -> None:
    created = owner()
    for option in dataclasses.fields(owner):
        value = getattr(created, option.name)
        assert value is None or isinstance(value, value_type(option, owner))


@pytest.mark.parametrize(("owner", "option", "bound"), BOUNDED, ids=label)
def test_bound_is_allowed_and_what_lies_beyond_is_not(owner: type, option: dataclasses.Field[Any], bound: str) -> None:
    kind = value_type(option, owner)
    edge = kind(option.metadata[bound])
    try:
        owner(**{option.name: edge})
    except InputError as error:  # it may contradict another parameter's default, but not its own bounds
        assert "must lie" not in str(error)
    step = 1 if kind is int else 1e-6 * max(1.0, abs(edge))
    beyond = edge - step if bound == "low" else edge + step
    with pytest.raises(InputError, match="^--" + option.name.replace("_", "-") + " .*must lie"):
        owner(**{option.name: beyond})


@pytest.mark.parametrize(("owner", "option"), [pair for pair in OPTIONS if pair[1].metadata["choices"]], ids=label)
def test_choices_are_the_only_ones(owner: type, option: dataclasses.Field[Any]) -> None:
    for choice in option.metadata["choices"]:
        assert getattr(owner(**{option.name: choice}), option.name) == choice
    with pytest.raises(InputError, match="choose from") as error:
        owner(**{option.name: "no such choice"})
    assert all(choice in str(error.value) for choice in option.metadata["choices"])


@pytest.mark.parametrize("name", ["resolution", "variance", "sampling_rate", "mask_diameter"])
def test_not_a_number_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="must lie"):
        Settings(**{name: math.nan})


@given(resolution=st.floats(), classes=st.integers(), variance=st.floats())
def test_settings_either_hold_or_say_so_in_one_line(resolution: float, classes: int, variance: float) -> None:
    try:
        settings = Settings(resolution=resolution, classes=classes, variance=variance)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert 1.0 <= settings.resolution <= 200.0
        assert settings.classes >= 1
        assert 0.05 <= settings.variance <= 1.0


def test_settings_cannot_change_after_the_check() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().classes = 0  # type: ignore[misc]


def test_the_papers_preset_is_made_of_settings() -> None:
    assert Settings(**PAPER, preset="paper").ctf == "wiener"  # type: ignore[arg-type]
