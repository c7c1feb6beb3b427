"""What the pretended GPUs object to, count and refuse: mistakes that only a GPU would show are noticed without one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pretended_cuda import Gpus
from simulated import SimulatedSet, run

from alignpca2d_core.averaging import noise_scores
from alignpca2d_core.averaging.templates import Templates
from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier import rotation
from alignpca2d_core.fourier.band import Band
from alignpca2d_core.preprocessing.preprocess import Vectors
from alignpca2d_core.runtime.uploads import Upload


def here(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


def there(*shape: int, gpu: int = 0) -> torch.Tensor:
    return torch.ones(shape, device=f"cuda:{gpu}")


OBJECTED_TO: list[tuple[str, Callable[[], Any], str]] = [
    ("CPU and GPU", lambda: there(3) + here(3), "same device"),
    ("two GPUs", lambda: there(3) + there(3, gpu=1), "same device"),
    ("product of both", lambda: there(2, 2) @ here(2, 2), "same device"),
    ("index of a GPU into a CPU's tensor", lambda: here(3)[there(1).long()], "same device"),
    ("writing into the CPU's", lambda: here(3).add_(there(3)), "same device"),
    ("out=", lambda: torch.mm(there(2, 2), there(2, 2), out=here(2, 2)), "same device"),
    ("mask of the CPU", lambda: there(3).masked_fill(here(3).bool(), 0.0), "same device"),
    ("numpy", lambda: there(3).numpy(), "to numpy"),
    ("random numbers of the CPU", lambda: torch.randn(3, generator=torch.Generator(), device="cuda"), "generator"),
    ("pinning", lambda: there(3).pin_memory(), "only dense CPU tensors"),
    ("sums in any order", lambda: torch.bincount(there(3).long(), weights=there(3)), "deterministic"),
    ("scattered sums", lambda: there(3).scatter_add_(0, there(3).long() - 1, there(3)), "deterministic"),
    ("running sums", lambda: there(3).cumsum(0), "deterministic"),
    ("place of a median", lambda: there(3, 3).median(dim=1), "deterministic"),
]
TAKEN: list[tuple[str, Callable[[], Any]]] = [
    ("a number of the CPU", lambda: there(3) * torch.tensor(2.0)),
    ("indices of the CPU", lambda: there(3)[here(1).long()]),
    ("new numbers beside old ones", lambda: there(2, gpu=1) + there(2, gpu=1).new_tensor([1.0, 2.0])),
    ("copies", lambda: here(3).copy_(there(3))),
    ("pinned copies", lambda: here(3).pin_memory().to("cuda", non_blocking=True)),
]


@pytest.mark.parametrize(("act", "said"), [one[1:] for one in OBJECTED_TO], ids=[one[0] for one in OBJECTED_TO])
def test_objects_to_what_cuda_objects_to(pretended: Gpus, act: Callable[[], Any], said: str) -> None:
    with pretended(count=2), pytest.raises((RuntimeError, TypeError), match=said):
        torch.use_deterministic_algorithms(True)
        act()


@pytest.mark.parametrize("act", [one[1] for one in TAKEN], ids=[one[0] for one in TAKEN])
def test_takes_what_cuda_takes(pretended: Gpus, act: Callable[[], Any]) -> None:
    with pretended(count=2):
        act()


def test_another_thread_is_not_pretended_to(pretended: Gpus) -> None:
    raised: list[str] = []

    def double(values: torch.Tensor) -> None:
        try:
            values * 2
        except RuntimeError as error:
            raised.append(str(error))

    with pretended():
        thread = threading.Thread(target=double, args=(there(3),))
        thread.start()
        thread.join()
    assert "another thread" in raised[0]


WAITS: list[tuple[str, Callable[[torch.Tensor], Any]]] = [
    ("item", lambda x: x.sum().item()),
    ("bool", lambda x: bool((x > 0).all())),
    ("tolist", lambda x: x.tolist()),
    ("cpu", lambda x: x.cpu()),
    ("from the CPU", lambda x: torch.ones(2).to(x.device)),
    ("list of numbers", lambda x: torch.tensor([1, 2], device=x.device)),
    ("nonzero", lambda x: torch.nonzero(x)),
    ("unique", lambda x: torch.unique(x)),
    ("mask", lambda x: x[x > 0]),
    ("counts", lambda x: torch.bincount(x.long())),
]


@pytest.mark.parametrize("act", [one[1] for one in WAITS], ids=[one[0] for one in WAITS])
def test_counts_where_the_host_waits(pretended: Gpus, act: Callable[[torch.Tensor], Any]) -> None:
    with pretended() as gpu:
        x = torch.ones(2, device="cuda")
        act(x)
    assert sum(gpu.waits.values()) == 1


def test_a_copy_beside_is_there_when_it_has_been_waited_for(pretended: Gpus) -> None:
    with pretended() as gpu:
        held, stream = torch.ones(2).pin_memory(), torch.cuda.Stream()
        with torch.cuda.stream(stream):
            copies = [held.to("cuda", non_blocking=True) for _ in range(2)]
            event = stream.record_event()
        assert copies[0].isnan().all()
        torch.cuda.current_stream().wait_event(event)
        held.fill_(2.0)
        assert [copy.tolist() for copy in copies] == [[1.0, 1.0]] * 2
        with torch.cuda.stream(stream):
            late = held.to("cuda", non_blocking=True)
        held.fill_(3.0)  # too early
        stream.record_event().synchronize()
        assert late.tolist() == [3.0, 3.0]
        before = sum(gpu.waits.values())
        torch.ones(2).to("cuda", non_blocking=True)  # from memory that is not pinned
        assert sum(gpu.waits.values()) == before + 1


def test_counts_sums_that_are_atomic(pretended: Gpus) -> None:
    with pretended() as gpu:
        x, index = torch.zeros(2, device="cuda"), torch.zeros(3, dtype=torch.int64, device="cuda")
        x.index_add_(0, index, there(3))
        x.index_put_((index,), there(3), accumulate=True)
        x[index] = there(3)
        x.long().index_add_(0, index, index)
        x[:1].add_(1.0)
    assert sorted(line.split()[-1] for line in gpu.atomics.elements()) == ["index_add_", "index_put_"]


def test_counts_kernels_and_no_views(pretended: Gpus) -> None:
    with pretended() as gpu:
        x = torch.ones(2, 3, device="cuda")
        before = sum(gpu.launches.values())
        _ = x.T.flatten()[None].unsqueeze(0)  # flatten copies
        _ = x[:1].view(3).expand(4, 3)
        _ = torch.empty(3, device="cuda")
        assert sum(gpu.launches.values()) == before + 1
        _ = x @ x.T + 1
        assert sum(gpu.launches.values()) == before + 3
    assert sum(gpu.waits.values()) == 0


def test_memory_ends_and_is_given_back(pretended: Gpus) -> None:
    with pretended(memory=1000) as gpu:
        first = torch.empty(200, device="cuda")
        assert torch.cuda.mem_get_info()[0] == 200
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.empty(100, device="cuda")
        view = first[10:]
        del first
        assert gpu.memory.allocated == 800
        del view
        assert (gpu.memory.allocated, torch.cuda.memory_reserved()) == (0, 800)
        torch.cuda.empty_cache()
        assert torch.cuda.mem_get_info() == (1000, 1000)
        torch.empty(250, device="cuda")


def not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    def enlarged(band: Band, vectors: torch.Tensor) -> torch.Tensor:
        response = rotation._cubic_transform(band.edge + 1, 64)
        return band.to_images(vectors * response[band.kx.cpu()], 64)

    monkeypatch.setattr(rotation, "_enlarged", enlarged)


def random_numbers_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def noise(q: torch.Tensor, band: Band, mask: torch.Tensor, generator: torch.Generator) -> Vectors:
        return Vectors(torch.randn(len(q), len(band), generator=generator, device=band.device), q, band)

    monkeypatch.setattr(noise_scores, "noise_particles", noise)


def straight_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Templates, "of", staticmethod(lambda references, *_: references.numpy()))


def not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Upload, "arrived", lambda self: self.images)


MISTAKES = [
    (not_moved, "same device"),
    (random_numbers_of_the_cpu, "generator"),
    (straight_to_numpy, "to numpy"),
    (not_waited_for, "no image can be used"),
]


@pytest.mark.parametrize(("plant", "said"), MISTAKES, ids=[plant.__name__ for plant, _ in MISTAKES])
def test_mistakes_in_the_program_are_noticed(
    pretended: Gpus,
    small: SimulatedSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    said: str,
) -> None:
    plant(monkeypatch)
    with pretended(), pytest.raises((RuntimeError, TypeError, InputError), match=said):
        run(small.metadata, tmp_path / "gpu", device="cuda")
