"""What CUDA objects to, what makes the host wait for it, and what starts no kernel."""

from __future__ import annotations

from typing import Any

import torch
from pretended_tensor import OnGpu

aten = torch.ops.aten
COPIES = {aten.copy_, aten._to_copy}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
"""These take indices from the CPU for tensors of the GPU, not the other way round."""
SCALARS_ALLOWED = {aten.where, aten.masked_fill, aten.masked_fill_, aten.fill, aten.fill_, *INDEXING}
"""Besides operations on single elements, which torch tags, these take a CPU's tensors of no dimension."""
WAITED_FOR = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
    aten.bincount,
    aten.masked_select,
    aten.equal,
    aten.histc,
    aten._linalg_eigh,
    aten._linalg_svd,
    aten.linalg_qr,
}
"""Their result's size, or whether they succeeded, is known on the GPU alone: the host asks, and waits."""
IN_ANY_ORDER = {
    aten.cumsum,
    aten.cumsum_,
    aten.histc,
    aten.kthvalue,
    aten.put_,
    aten.scatter_add,
    aten.scatter_add_,
    aten.scatter_reduce,
    aten.scatter_reduce_,
}
"""Of these torch has no kernel for CUDA that adds up in one order, or none that is wanted here."""
ANY_PLACE = {aten.median.dim, aten.median.dim_values, aten.nanmedian.dim, aten.nanmedian.dim_values}
"""Of several equal values these name any: torch has no kernel for CUDA that names the same one each time."""
ATOMIC = {aten.index_add, aten.index_add_, aten.index_put, aten.index_put_, aten._index_put_impl_}
"""These add up with atomic operations, unless torch has been told to keep one order."""
NO_KERNEL = {aten.empty, aten.empty_like, aten.new_empty, aten.empty_strided, aten._unsafe_view, aten.lift_fresh}


def refuse_what_cuda_refuses(func: Any, named: dict[str, Any], tensors: list[torch.Tensor], where: set[Any]) -> None:
    """Raise what CUDA raises for an operation with arguments by name on tensors, those on GPUs on the GPUs ``where``.

    Raises
    ------
    RuntimeError
    """
    packet, generator = func.overloadpacket, named.get("generator")
    if generator is not None and generator.device.type != "cuda":
        raise RuntimeError(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
    if packet in COPIES or not where:
        return
    written = [named.get(a.name) for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
    scalars = packet in SCALARS_ALLOWED or torch.Tag.pointwise in func.tags
    indices = named["indices"] if packet in INDEXING and isinstance(named["self"], OnGpu) else ()
    for one in tensors:
        scalar = scalars and not one.dim() and not any(one is other for other in written)
        if len(where) > 1 or not (isinstance(one, OnGpu) or scalar or any(one is index for index in indices)):
            found = ", ".join(sorted({str(other.device) for other in tensors}))
            raise RuntimeError(f"{func}: Expected all tensors to be on the same device, but found {found}")


def refuse_any_order(func: Any, named: dict[str, Any], tensors: list[torch.Tensor]) -> None:
    """Raise where sums of real numbers would come out otherwise each time, when that is not wanted.

    Raises
    ------
    RuntimeError
    """
    packet = func.overloadpacket
    real = any(one.is_floating_point() or one.is_complex() for one in tensors)
    ordered = named.get("reduce") in ("amax", "amin")
    weighted = packet is aten.bincount and named.get("weights") is not None
    unordered = (packet in IN_ANY_ORDER and real and not ordered) or weighted or func in ANY_PLACE
    if torch.are_deterministic_algorithms_enabled() and unordered:
        raise RuntimeError(f"{func} does not have a deterministic implementation on CUDA")


def adds_atomically(func: Any, named: dict[str, Any]) -> bool:
    """Whether an operation adds real numbers up in an order that only a switch of torch's makes the same each time."""
    packet, into = func.overloadpacket, named.get("self")
    adds = packet in (aten.index_add, aten.index_add_) or named.get("accumulate", False)
    return packet in ATOMIC and adds and isinstance(into, torch.Tensor) and not _whole(into)


def _whole(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())


def is_waited_for(
    func: Any, named: dict[str, Any], tensors: list[torch.Tensor], device: torch.device, pinned: bool
) -> bool:
    """Whether the host cannot go on before the GPU has done what it was given up to here.

    ``pinned`` says whether what is copied lies in pinned memory, from which a GPU copies by itself.
    """
    packet = func.overloadpacket
    if packet in COPIES:
        return {one.device for one in tensors} != {device} and not (pinned and named.get("non_blocking"))
    if packet in INDEXING:
        indices = [index for index in named["indices"] if index is not None]
        return any(index.dtype == torch.bool or index.device.type == "cpu" for index in indices)
    return packet in WAITED_FOR or (func is aten.repeat_interleave.Tensor and named.get("output_size") is None)


def starts_a_kernel(func: Any) -> bool:
    """Whether an operation does anything on the GPU: views and room do not."""
    return not (func.is_view or torch.Tag.inplace_view in func.tags or func.overloadpacket in NO_KERNEL)
