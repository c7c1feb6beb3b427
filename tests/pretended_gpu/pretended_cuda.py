"""GPUs that are not there: what would go wrong on CUDA goes wrong without it.

Within :func:`pretended_gpus` torch knows of GPUs.  What is computed there is computed on the CPU; tensors say that they
are on ``cuda:0`` and object to what CUDA objects to::

    with pretended_gpus() as gpu:
        main(["classify", "particles.star", "-o", "out", "--device", "cuda"])
    gpu.launches, gpu.waits  # by line of the program: kernels started; where the host waited for the GPU

Not seen: rounding, the order of sums, types that a GPU lacks, and what other threads do.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from gpu_memory import GpuMemory
from gpu_rules import adds_atomically, aten, is_waited_for, refuse_any_order, refuse_what_cuda_refuses, starts_a_kernel
from pretended_streams import PretendedStream, PretendedStreams
from pretended_tensor import OnGpu, tensors_in, unwrapped
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

PACKAGE = f"{os.sep}alignpca2d_core{os.sep}"
TORCH = "2.13.0"
"""The pretence leans on torch's private parts, which another release may have moved."""
CPU = torch.device("cpu")
MEMORY = 8 * 2**30
Gpus = Callable[..., AbstractContextManager[Any]]
"""What makes the GPUs that a test asks for: :func:`pretended_gpus`, or real ones."""


class Pretence(TorchDispatchMode):
    """Does on the CPU what is asked of a GPU.

    Attributes
    ----------
    launches, waits : Counter
        By line of the program and name of the operation.
    atomics : Counter
        The same, of sums that are in one order only because torch has been told so.
    memory : GpuMemory
        Of all GPUs together.
    streams : PretendedStreams
    current : int
        The GPU that is meant where none is named.
    """

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.atomics: Counter[str] = Counter()
        self.memory, self.streams, self.current = GpuMemory(memory), PretendedStreams(), 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # it would be imported now, and stumble over what is pretended

    def numbered(self, device: Any) -> Any:
        """A GPU by its number, whatever it is called by; anything else as it is."""
        named = torch.device(device) if isinstance(device, str) and device.startswith("cuda") else device
        is_gpu = isinstance(named, torch.device) and named.type in ("cuda", "privateuseone")
        return torch.device("cuda", self.current if named.index is None else named.index) if is_gpu else device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, packet = dict(kwargs or {}), func.overloadpacket
        tensors = tensors_in([*args, *kwargs.values()])
        gpus = [one.gpu for one in tensors if isinstance(one, OnGpu)]
        asked = self.numbered(kwargs.get("device"))
        device = asked or (args[0].device if packet is aten.copy_ else next(iter(gpus), CPU))
        if packet in (aten.is_pinned, aten._pin_memory):
            return self._pinned(packet, args[0])
        if not gpus and device.type == "cpu":
            return func(*args, **kwargs)
        if func.namespace == "c10d":
            return func(*unwrapped(args), **unwrapped(kwargs))
        named = dict(zip((one.name for one in func._schema.arguments), args, strict=False)) | kwargs
        refuse_what_cuda_refuses(func, named, tensors, set(gpus))
        refuse_any_order(func, named, tensors)
        copied = packet is aten._to_copy and not gpus
        pinned = copied and self.streams.is_pinned(args[0])
        line = self._count(func, is_waited_for(func, named, tensors, device, pinned))
        if adds_atomically(func, named):
            self.atomics[line] += 1
        if asked is not None:
            kwargs["device"] = CPU
        known = {id(one.held if isinstance(one, OnGpu) else one): one for one in tensors}
        found = func(*unwrapped(args), **unwrapped(kwargs))
        if copied and self.streams.beside:
            if not pinned:
                raise RuntimeError("a copy beside what is computed needs pinned memory")
            found = found.clone()
            self.streams.current.copy_later(found, args[0])
        if torch.Tag.inplace_view in func.tags:
            with torch._C._DisableTorchDispatch():  # the wrapper's own shape changes too
                func(*args, **kwargs)
        return found if device.type == "cpu" else self._wrapped(found, device, known)

    def _pinned(self, packet: Any, tensor: torch.Tensor) -> Any:
        if packet is aten.is_pinned:
            return not isinstance(tensor, OnGpu) and self.streams.is_pinned(tensor)
        if isinstance(tensor, OnGpu):
            raise RuntimeError(f"cannot pin '{tensor.gpu}': only dense CPU tensors can be pinned")
        return self.streams.pin(tensor)

    def _wrapped(self, found: Any, device: torch.device, known: dict[int, torch.Tensor]) -> Any:
        def wrapped(one: torch.Tensor) -> torch.Tensor:
            if id(one) in known:
                return known[id(one)]
            # A wrapper cannot say that what it holds is still to be conjugated.
            wrapper = OnGpu(one.resolve_conj(), device)
            self.memory.hold(wrapper)
            return wrapper

        return tree_map_only(torch.Tensor, wrapped, found)

    def _count(self, func: Any, waits: bool) -> str:
        starts = starts_a_kernel(func)
        if not (starts or waits):
            return ""
        frame = sys._getframe(2)
        while frame.f_back and PACKAGE not in frame.f_code.co_filename:
            frame = frame.f_back
        line = f"{frame.f_code.co_filename.rpartition(PACKAGE)[2]}:{frame.f_lineno} {func.overloadpacket.__name__}"
        self.launches[line] += starts
        self.waits[line] += waits
        return line


class _Numbered(TorchFunctionMode):
    """Says "cuda:0" for "cuda" before C++ asks which device is the current one."""

    def __init__(self, pretence: Pretence) -> None:
        super().__init__()
        self.numbered = pretence.numbered

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        args = tuple(self.numbered(one) if isinstance(one, (str, torch.device)) else one for one in args)
        if "device" in kwargs:
            kwargs = {**kwargs, "device": self.numbered(kwargs["device"])}
        if func is torch.Tensor.to and isinstance(args[0], OnGpu) and args[1:] == (args[0].device,) and not kwargs:
            return args[0]
        if func is torch.Tensor.new_tensor and isinstance(args[0], OnGpu):  # C++ would take the first GPU
            return torch.tensor(args[1], **{"dtype": args[0].dtype, "device": args[0].device, **kwargs})
        return func(*args, **kwargs)


@contextmanager
def pretended_gpus(count: int = 1, capability: int = 9, memory: int = MEMORY) -> Iterator[Pretence]:
    """Within the block torch knows of ``count`` GPUs of a compute capability, with so many bytes of memory."""
    pretence = Pretence(memory)

    def select(device: Any) -> None:
        pretence.current = torch.device(device).index if not isinstance(device, int) else device

    answers: dict[str, Any] = {
        "is_available": lambda: count > 0,
        "device_count": lambda: count,
        "current_device": lambda: pretence.current,
        "set_device": select,
        "get_device_capability": lambda device=None: (capability, 0),
        "get_device_name": lambda device=None: "a pretended GPU",
        "mem_get_info": lambda device=None: pretence.memory.free_and_whole(),
        "memory_reserved": lambda device=None: pretence.memory.reserved,
        "memory_allocated": lambda device=None: pretence.memory.allocated,
        "empty_cache": pretence.memory.give_back,
        "Stream": lambda device=None: PretendedStream(),
        "stream": pretence.streams.on,
        "current_stream": lambda device=None: pretence.streams.current,
        "synchronize": lambda device=None: None,
        "_lazy_init": lambda: None,
    }
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, answer))
        # A CPU build has no NCCL.
        join = dist.init_process_group
        stack.enter_context(mock.patch.object(dist, "init_process_group", lambda _, **rest: join("gloo", **rest)))
        stack.enter_context(_switches_kept())
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device="cuda") then copies where it is seen
        stack.enter_context(_Numbered(pretence))
        yield stack.enter_context(pretence)


@contextmanager
def _switches_kept() -> Iterator[None]:
    """Torch's own switches, which a run on a GPU sets, as they were."""
    lifted = torch._C._only_lift_cpu_tensors()
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    deterministic = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    try:
        yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = filled
