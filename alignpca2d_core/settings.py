"""Every parameter, once: name, default, unit, bounds and help.

The command line is generated from here (:mod:`alignpca2d_core.cli`) and a test holds the defaults of
the Scipion form against it.  Defaults of ``None`` mean "automatic", as the help text explains.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field, fields
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


@dataclass(frozen=True)
class Settings:
    """What every classifying subcommand understands."""

    classes: int = parameter(50, "number of 2D classes, all of them delivered and none empty", low=1, high=100_000)
    resolution: float = parameter(
        8.0, "finest resolution compared; limited to Nyquist with a warning", unit="Å", low=1.0, high=200.0
    )
    variance: float = parameter(0.75, "share of the variance that the Fourier PCA keeps", low=0.05, high=1.0)
    sampling_rate: float | None = parameter(
        None, "pixel size; by default from the metadata or the stack's header", unit="Å/px", low=0.01, high=100.0
    )
    ctf: str = parameter(
        "auto",
        "model: compare with CTF-affected averages; wiener: correct the particles first; none: ignore the CTF; "
        "auto: model where the metadata has a CTF, else none",
        choices=("auto", "model", "wiener", "none"),
    )
    phase_flipped: bool = parameter(False, "the phases of the particles are already flipped")
    preset: str = parameter(
        "default", "paper: Wiener filter, schedule and RMSProp as printed in the paper", choices=("default", "paper")
    )
    batch_size: int | None = parameter(
        None, "particles per batch of stage 2; by default as many as memory serves well", low=1
    )
    initial_particles: int | None = parameter(
        None, "particles that start the classes (stage 1); by default 100 per class and at least 3000", low=1
    )
    iterations: int | None = parameter(None, "rounds of stage 1; by default until the classes settle", low=1, high=1000)
    mask_diameter: float | None = parameter(
        None, "diameter of the soft circular mask; by default the largest circle in the box", unit="Å", low=1.0
    )
    invert: bool = parameter(False, "invert the contrast: the particles are darker than the background")
    seed: int = parameter(0, "seed of every random choice; the same seed gives the same classes", low=0)
    device: str = parameter("auto", "auto, cpu, cuda or cuda:N")
    threads: int | None = parameter(None, "CPU threads; by default all that this process may use", low=1, high=1024)
    quiet: bool = parameter(False, "print warnings and errors only")
    resume: bool = parameter(False, "continue an interrupted run in the same folder")

    def __post_init__(self) -> None:
        check(self)


PAPER = {"ctf": "wiener", "resolution": 8.0, "variance": 0.75}
"""What ``--preset paper`` sets beside its schedule and its updates (sections 2 and 3 of the paper)."""
