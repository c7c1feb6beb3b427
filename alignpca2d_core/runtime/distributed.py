"""Several processes at one classification, on one machine or more, as ``torchrun`` starts them.

Particles are divided over the ranks and their sums added up (torch.distributed: gloo between CPUs, nccl between
GPUs).  All ranks go through the same steps.  What the steps decide is taken from rank 0, so that rounding cannot
part them; rank 0 alone writes.  Without torchrun there is one rank, and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from .lost_ranks import RankErrors, fault_behind

BACKEND = "cpu:gloo,cuda:nccl"

Record = TypeVar("Record")


_words: RankErrors | None = None


def launched() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def per_machine() -> int:
    """How many of them share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def local() -> int:
    """Which of those on this machine this is."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def together() -> Iterator[None]:
    """Join the other ranks, where there are any, until the block ends."""
    global _words
    if launched() == 1:
        yield
        return
    backend = BACKEND if torch.cuda.is_available() else "gloo"
    store, rank, ranks = next(rendezvous("env://"))
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks)
    _words = RankErrors(store, rank, ranks)
    try:
        yield
    except Exception as error:
        _words.leave(error)
        raise
    # Not after an error: the others would be waited for, who may wait for this one.
    dist.destroy_process_group()


def count() -> int:
    """How many ranks work together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this rank is the one that decides and writes."""
    return _mine() == 0


def part(length: int) -> slice:
    """This rank's part of a sequence."""
    return slice(length * _mine() // count(), length * (_mine() + 1) // count())


def part_or_first(length: int) -> slice:
    """The same; the first item where there are fewer than ranks and this one would have none."""
    mine = part(length)
    return mine if mine.stop > mine.start else slice(0, 1)


def part_of_batches(length: int, batch: int) -> NDArray[np.int64]:
    """Positions in a sequence of which this rank has its part of each batch, ascending."""
    starts = range(0, length, batch)
    parts = [np.arange(start, min(start + batch, length)) for start in starts]
    return np.concatenate([one[part(len(one))] for one in parts]) if parts else np.zeros(0, dtype=np.int64)


def owners(costs: Sequence[float]) -> list[int]:
    """The rank of each item: the one that has least to do, where the costly ones are dealt first."""
    load, owner = [0.0] * count(), [0] * len(costs)
    for item in sorted(range(len(costs)), key=lambda i: -costs[i]):
        owner[item] = load.index(min(load))
        load[owner[item]] += costs[item]
    return owner


def dealt(costs: Sequence[float]) -> list[int]:
    """This rank's items, ascending, as :func:`owners` deals them."""
    return [item for item, rank in enumerate(owners(costs)) if rank == _mine()]


def rows_of_groups(group: Tensor, groups: int) -> Tensor | slice:
    """Rows of this rank where whole groups are dealt: ``group`` (n,) is the number from 0 of each row's."""
    if count() == 1:
        return slice(0, len(group))
    own = torch.zeros(groups, dtype=torch.bool)
    own[dealt(torch.bincount(group, minlength=groups).tolist())] = True
    return torch.nonzero(own.to(group.device)[group])[:, 0]


def total(record: Record) -> Record:
    """The record with each of its tensors summed over the ranks."""
    if count() == 1:
        return record
    return _changed(record, [_summed(value) for value in _tensors(record)])


def total_tensor(values: Tensor) -> Tensor:
    """The same for one tensor; of what each rank knows a part, and zero of the rest, that is the whole."""
    return _summed(values) if count() > 1 else values


def gathered(record: Record, positions: NDArray[np.int64]) -> Record:
    """The rows of all ranks' records, in the order of their positions.

    Parameters
    ----------
    record : dataclass of (n, ...) tensors
    positions : (n,) int64 array
        Of this rank's rows; every position is some rank's.
    """
    order = _order(positions)
    return _changed(record, [_in_order(value, order) for value in _tensors(record)])


def gathered_tensor(values: Tensor, positions: NDArray[np.int64]) -> Tensor:
    """The same for one tensor."""
    return _in_order(values, _order(positions))


def handed_over(record: Record, owner: Tensor) -> Record:
    """What all ranks hold for this one: ``owner`` (n,) is the rank that each row of a record goes to.

    Rows come rank by rank, in the order that they had there.
    """
    if count() == 1:
        return record
    order = torch.argsort(owner, stable=True)
    sent = torch.bincount(owner, minlength=count()).cpu()
    come = torch.empty_like(sent)
    _do(dist.all_to_all_single, come, sent)
    return _changed(record, [_exchanged(value[order], sent.tolist(), come.tolist()) for value in _tensors(record)])


def handed_over_tensor(values: Tensor, owner: Tensor) -> Tensor:
    """The same for one tensor."""
    return handed_over(_Rows(values), owner).values


@dataclass
class _Rows:
    values: Tensor


def side_by_side(record: Record) -> Record:
    """The record with each of its tensors (n, c) followed by those of the other ranks, (n, ranks · c)."""
    if count() == 1:
        return record
    return _changed(record, [_joined(value.T.contiguous()).T for value in _tensors(record)])


def joined(values: Tensor) -> Tensor:
    """The rows of all ranks' tensors, rank by rank; they may differ in number."""
    return _joined(values) if count() > 1 else values


def everywhere(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What holds on every rank, (n,)."""
    if count() == 1:
        return usable
    flags = torch.from_numpy(usable.astype(np.int32))
    _do(dist.all_reduce, flags, op=dist.ReduceOp.MIN)
    return flags.numpy().astype(bool)


def of_first(record: Record) -> Record:
    """Rank 0's tensors in place of this rank's, whatever their shapes."""
    if count() == 1:
        return record
    return _changed(record, [first_tensor(value) for value in _tensors(record)])


def first_tensor(value: Tensor) -> Tensor:
    """Rank 0's tensor, whatever its shape; the number of dimensions must agree."""
    if count() == 1:
        return value
    shape = torch.tensor(value.shape, dtype=torch.int64)
    _do(dist.broadcast, shape, src=0)
    here = _plain(value) if dist.get_rank() == 0 else _plain(value.new_empty(shape.tolist()))
    _do(dist.broadcast, here, src=0)
    return _restored(here, value)


def first_number(value: int) -> int:
    """Rank 0's integer."""
    return int(first_tensor(torch.tensor([value]))[0])


def least(value: int) -> int:
    """The least of all ranks' integers: what a partition rests on must be one number."""
    if count() == 1:
        return value
    agreed = torch.tensor([value], dtype=torch.int64)
    _do(dist.all_reduce, agreed, op=dist.ReduceOp.MIN)
    return int(agreed[0])


def _mine() -> int:
    return dist.get_rank() if count() > 1 else 0


def _tensors(record: Any) -> list[Tensor]:
    return [getattr(record, item.name) for item in fields(record) if isinstance(getattr(record, item.name), Tensor)]


def _changed(record: Any, values: Sequence[Tensor]) -> Any:
    names = [item.name for item in fields(record) if isinstance(getattr(record, item.name), Tensor)]
    return replace(record, **dict(zip(names, values, strict=True)))


def _order(positions: NDArray[np.int64]) -> Tensor | None:
    """What puts the rows of all ranks in the order of their positions; None where they are in it."""
    if count() == 1 and (positions[1:] > positions[:-1]).all():
        return None
    return torch.argsort(joined(torch.from_numpy(positions)))


def _in_order(values: Tensor, order: Tensor | None) -> Tensor:
    return values if order is None else joined(values)[order.to(values.device)]


def _summed(value: Tensor) -> Tensor:
    here = _plain(value).clone()
    _do(dist.all_reduce, here)
    return _restored(here, value)


def _joined(value: Tensor) -> Tensor:
    """The rows of all ranks, rank by rank; they may differ in number."""
    here = _plain(value)
    lengths = torch.zeros(count(), dtype=torch.int64)
    lengths[dist.get_rank()] = len(here)
    _do(dist.all_reduce, lengths)
    padded = here.new_zeros(int(lengths.max()), *here.shape[1:])
    padded[: len(here)] = here
    parts = [torch.empty_like(padded) for _ in range(count())]
    _do(dist.all_gather, parts, padded)
    rows = [one[:length] for one, length in zip(parts, lengths.tolist(), strict=True)]
    return _restored(torch.cat(rows), value)


def _exchanged(value: Tensor, sent: list[int], come: list[int]) -> Tensor:
    """The first rows to rank 0, the next to rank 1, and so on; in return, the rows that come from them."""
    here = _plain(value)
    there = here.new_empty(sum(come), *here.shape[1:])
    _do(dist.all_to_all_single, there, here, come, sent)
    return _restored(there, value)


def _plain(value: Tensor) -> Tensor:
    """In a type that every backend carries."""
    value = torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
    return (value.to(torch.uint8) if value.dtype == torch.bool else value).contiguous()


def _restored(value: Tensor, like: Tensor) -> Tensor:
    return torch.view_as_complex(value) if like.is_complex() else value.to(like.dtype)


def _do(collective: Any, *arguments: Any, **options: Any) -> None:
    try:
        collective(*arguments, **options)
    except RuntimeError as error:
        raise fault_behind(error, _words) from error
