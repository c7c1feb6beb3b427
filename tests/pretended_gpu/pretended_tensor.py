"""Tensors that say they are on a GPU and are held on the CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.backend_registration import _DummyBackendModule, _DummyDeviceGuard

GUARD = _DummyDeviceGuard()
# A CPU build has no guard for CUDA, which C++ asks for: to C++ the wrappers are of a backend of their own.
torch._C._acc.register_python_privateuseone_device_guard(GUARD)
torch._register_device_module("privateuseone", _DummyBackendModule())


class OnGpu(torch.Tensor):
    """A tensor of GPU ``gpu``; what it holds is in ``held``, a tensor of the CPU."""

    held: torch.Tensor
    gpu: torch.device
    device = property(lambda self: self.gpu)  # type: ignore[assignment]
    is_cuda, is_cpu = True, False  # type: ignore[assignment]
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: torch.Tensor, gpu: torch.device) -> OnGpu:
        layout = held.size(), held.stride(), held.storage_offset()
        wrapper = torch.Tensor._make_wrapper_subclass(
            cls, *layout, dtype=held.dtype, device=f"privateuseone:{gpu.index}"
        )
        wrapper.held, wrapper.gpu = held, gpu
        return wrapper

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.held}, device='{self.gpu}')"

    def numpy(self, *, force: bool = False) -> Any:
        """NumPy's arrays lie in the memory of the CPU."""
        if force:
            return self.cpu().numpy()
        raise TypeError(
            f"can't convert {self.gpu} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory"
        )

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        return self.numpy()

    def record_stream(self, stream: Any) -> None:
        """The memory is not used again before the stream is done with it; here it never is."""

    def tolist(self) -> Any:
        """A copy to the CPU, for which the host waits."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: a pretended GPU's tensor outside of pretended_gpus(), or in another thread")


def unwrapped(tree: Any) -> Any:
    """The same with what wrappers hold in place of the wrappers."""
    if isinstance(tree, OnGpu):
        return tree.held
    if isinstance(tree, (list, tuple)):  # many times faster than torch's own trees
        return type(tree)([unwrapped(one) for one in tree])
    if isinstance(tree, dict):
        return {name: unwrapped(one) for name, one in tree.items()}
    return tree


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """The tensors among arguments, however deep in lists."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, (list, tuple)):
        return [found for one in tree for found in tensors_in(one)]
    return []
