"""Checks of the tensors of a saved state before they are used: names, shapes, types and ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Entry:
    """One tensor of a state.

    Parameters
    ----------
    dtype : torch.dtype
    shape : tuple of int or str
        Lengths; a name stands for a length that is the same wherever the name occurs.
    below : str, optional
        The values are numbers of something: at least 0 and less than the length of this name.
    """

    dtype: torch.dtype
    shape: tuple[int | str, ...]
    below: str | None = None


def problem(tensors: Mapping[str, Tensor], entries: Mapping[str, Entry], lengths: Mapping[str, int]) -> str | None:
    """What is wrong with the tensors, in a few words; ``None`` where they are as described.

    Parameters
    ----------
    tensors : mapping of name to Tensor
    entries : mapping of name to Entry
    lengths : mapping of name to int
        Lengths that are known beforehand, from the input and the settings; the others need only agree.
    """
    known = dict(lengths)
    for name, entry in entries.items():
        if name not in tensors:
            return f"{name} is missing"
        found = tensors[name]
        if found.dtype != entry.dtype:
            return f"{name} holds {found.dtype} in place of {entry.dtype}"
        if found.ndim != len(entry.shape):
            return f"{name} has {found.ndim} dimensions in place of {len(entry.shape)}"
        for length, wanted in zip(found.shape, entry.shape, strict=True):
            expected = known.setdefault(wanted, length) if isinstance(wanted, str) else wanted
            if length != expected:
                due = f"{wanted} is {expected}" if isinstance(wanted, str) else f"{expected} is due"
                return f"{name} has the shape {tuple(found.shape)}, where {due}"
    return _out_of_range(tensors, entries, known)


def _out_of_range(tensors: Mapping[str, Tensor], entries: Mapping[str, Entry], known: Mapping[str, int]) -> str | None:
    for name, entry in entries.items():
        found = tensors[name]
        if entry.below is not None and found.numel():
            least, most, count = int(found.min()), int(found.max()), known[entry.below]
            if least < 0 or most >= count:
                return f"{name} counts from {least} to {most}, where {entry.below} is {count}"
        if found.isnan().any():
            return f"{name} holds NaN"
    return None
