"""How a parameter is described: a dataclass field with its help, unit, bounds and choices, and what checks them."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import field, fields
from typing import Any

from .errors import InputError


def parameter(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field that carries what a form or a command line must know of a parameter."""
    return field(
        default=default,
        metadata={"help": help, "unit": unit, "low": low, "high": high, "choices": choices},
    )


def value_type(option: dataclasses.Field[Any], owner: type) -> type:
    """The type of an option's value, ``None`` for "automatic" set aside."""
    hint = typing.get_type_hints(owner)[option.name]
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def check(settings: Any) -> None:
    """Raise :class:`InputError` naming the first parameter whose value is out of bounds."""
    for option in fields(settings):
        value, meta = getattr(settings, option.name), option.metadata
        name = "--" + option.name.replace("_", "-")
        if value is None:
            continue
        if meta["choices"] and value not in meta["choices"]:
            raise InputError(f"{name} {value}: choose from {', '.join(meta['choices'])}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            too_low = meta["low"] is not None and not value >= meta["low"]
            too_high = meta["high"] is not None and not value <= meta["high"]
            if too_low or too_high:
                raise InputError(f"{name} {value}: must lie in [{meta['low']}, {meta['high']}]")


GUIDANCE = ("low_resolution", "no_align", "psi_range", "tube_diameter")
"""Parameters that say what is known of the particles' poses, or what must not decide them."""


def check_guidance(settings: Any) -> None:
    """Raise :class:`InputError` where these parameters contradict one another, or the preset."""
    for name in GUIDANCE:
        if settings.preset == "paper" and getattr(settings, name) not in (None, False):
            raise InputError(f"--{name.replace('_', '-')}: not with --preset paper, which is as printed")
    low, high = settings.low_resolution, settings.resolution
    if low is not None and low <= high:
        raise InputError(f"--low-resolution {low:g}: not coarser than --resolution {high:g}")
    if settings.no_align and settings.psi_range is not None:
        raise InputError("--no-align and --psi-range: give one of them")
    if settings.tube_diameter is not None and settings.psi_range is None and not settings.no_align:
        raise InputError("--tube-diameter: goes with --psi-range or --no-align, which say how the tube lies")
