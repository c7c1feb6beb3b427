"""What a run leaves in DIR/state, so that it can be continued or its classes used again.

Tensors lie in safetensors files, everything else in JSON: reading them runs no code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .atomic import atomic_path, write_json
from .errors import InputError

VERSION = 1
FOLDER = "state"


class State:
    """Named sets of tensors in a folder, each with the fingerprint of the run that wrote it.

    Parameters
    ----------
    directory : Path
        The output folder; the state lies in its subfolder ``state``.
    fingerprint : dict
        What must be the same for a state to be of use: input, size, settings.
    """

    def __init__(self, directory: Path, fingerprint: dict[str, Any]) -> None:
        self.folder = Path(directory) / FOLDER
        self.fingerprint = json.loads(json.dumps(fingerprint))

    def save(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write a set: the tensors first, then the JSON that declares them valid."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = {key: _plain(value) for key, value in tensors.items()}
        with atomic_path(self.folder / f"{name}.safetensors") as temporary:
            save_file(plain, temporary)
        write_json(self.folder / f"{name}.json", {"version": VERSION, "fingerprint": self.fingerprint})

    def load(self, name: str, check: bool = True) -> dict[str, Tensor] | None:
        """A set that was saved, or None where there is none.

        Raises
        ------
        InputError
            When it is damaged, of another version, or (with ``check``) of another run.
        """
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return None
        try:
            header = json.loads(path.read_text(encoding="utf-8"))
            tensors = load_file(self.folder / f"{name}.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"{path.with_suffix('.safetensors')}: damaged state ({error}); run without --resume"
            ) from error
        if not isinstance(header, dict) or header.get("version") != VERSION:
            raise InputError(f"{path}: state of another version of the program; run without --resume")
        if not isinstance(header.get("fingerprint"), dict):
            raise InputError(f"{path}: damaged state (no fingerprint); run without --resume")
        if check and header["fingerprint"] != self.fingerprint:
            theirs, ours = header["fingerprint"], self.fingerprint
            changed = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
            raise InputError(f"{path}: the run there had other {', '.join(changed)}; run without --resume")
        self.fingerprint = header["fingerprint"]
        return {key: _complex(key, value) for key, value in tensors.items()}

    def clear(self) -> None:
        """Forget everything saved here."""
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path.suffix in (".json", ".safetensors"):
                path.unlink()


COMPLEX = "complex:"


def complex_key(name: str) -> str:
    """The key under which a complex tensor is stored, as real and imaginary parts."""
    return COMPLEX + name


def _plain(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return (torch.view_as_real(value) if value.is_complex() else value).contiguous()


def _complex(key: str, value: Tensor) -> Tensor:
    return torch.view_as_complex(value) if key.startswith(COMPLEX) else value
