"""What a run leaves in DIR/state, so that it can be continued or its classes used again.

Each set of tensors is one safetensors file that carries its version, the fingerprint of its run and a checksum:
it is replaced as a whole by one renaming, and reading it runs no code.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from ..errors import InputError
from ..io.atomic_files import atomic_path
from ..io.output_folder import STATE
from .tensor_schema import Entry, problem

VERSION = 3
FOLDER = STATE
SUFFIX = ".safetensors"
HEADER = "alignpca2d"
"""Key of our own header among the strings that a safetensors file carries."""
REMEDY = "run without --resume"


class State:
    """Named sets of tensors in a folder, each with the fingerprint of the run that wrote it.

    Parameters
    ----------
    directory : Path
        The output folder; the state lies in its subfolder ``state``.
    fingerprint : dict
        What must be the same for a state to be of use: input, size, settings.
    remedy : str
        What to do about a state that is of no use, for the messages.
    """

    def __init__(self, directory: Path, fingerprint: dict[str, Any], remedy: str = REMEDY) -> None:
        self.folder = Path(directory) / FOLDER
        self.fingerprint = json.loads(json.dumps(fingerprint))
        self.remedy = remedy

    def path(self, name: str) -> Path:
        """The file that holds a set."""
        return self.folder / f"{name}{SUFFIX}"

    def save(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a set, in one step: a reader finds the old one or the new one.

        Raises
        ------
        OSError
            When the file cannot be written; what was there before is untouched.
        """
        plain = {key: _plain(value) for key, value in tensors.items()}
        fingerprint = self.fingerprint
        header = {"version": VERSION, "fingerprint": fingerprint, "checksum": _checksum(plain, fingerprint)}
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_path(self.path(name)) as temporary:
                arrays = {key: value.numpy() for key, value in plain.items()}
                save_file(arrays, temporary, metadata={HEADER: json.dumps(header)})
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number:
                raise OSError(int(number[1]), os.strerror(int(number[1])), str(self.path(name))) from error
            raise OSError(f"{self.path(name)}: cannot be written ({error})") from error

    def load(self, name: str, entries: Mapping[str, Entry] | None = None, **lengths: int) -> dict[str, Tensor] | None:
        """A set that was saved, or None where there is none.

        Parameters
        ----------
        name : str
        entries : mapping of name to Entry, optional
            What the tensors must look like.
        lengths : int
            Lengths named in the entries that are known beforehand.

        Raises
        ------
        InputError
            When it is damaged, of another version, of other shapes, or of another run.
        """
        path = self.path(name)
        if not path.is_file():
            return None
        header, tensors = self._read(path)
        if header.get("version") != VERSION:
            raise self._refusal(path, "state of another version of the program")
        fingerprint = header.get("fingerprint")
        if not isinstance(fingerprint, dict):
            raise self._refusal(path, "damaged state (no fingerprint)")
        if header.get("checksum") != _checksum(tensors, fingerprint):
            raise self._refusal(path, "damaged state (its checksum is wrong)")
        changed = self.changed_since(fingerprint)
        if changed:
            raise self._refusal(path, f"the run there had other {', '.join(changed)}")
        found = self._complex(path, tensors)
        wrong = problem(found, entries or {}, lengths)
        if wrong is not None:
            raise self._refusal(path, f"state that does not fit this run ({wrong})")
        return found

    def changed_since(self, earlier: Mapping[str, Any]) -> list[str]:
        """What of the run an earlier fingerprint has otherwise; what this version does not hold fast is no change."""
        return sorted(key for key, value in self.fingerprint.items() if value != earlier.get(key))

    def clear(self) -> None:
        """Forget everything saved here."""
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path.suffix in (".json", ".jsonl", SUFFIX) or path.name.startswith("batch-"):
                path.unlink()

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The header and the tensors of a file as they are stored."""
        try:
            with safe_open(path, framework="np") as file:
                header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
                tensors = {key: torch.from_numpy(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise self._refusal(path, f"damaged state ({' '.join(str(error).split())})") from error
        if not isinstance(header, dict):
            raise self._refusal(path, "damaged state (no header)")
        return header, tensors

    def _complex(self, path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        try:
            return {key: torch.view_as_complex(t) if key.startswith(COMPLEX) else t for key, t in tensors.items()}
        except RuntimeError as error:
            raise self._refusal(path, "damaged state (what should be complex is not)") from error

    def _refusal(self, path: Path, reason: str) -> InputError:
        return InputError(f"{path}: {reason}; {self.remedy}")


COMPLEX = "complex:"


def complex_key(name: str) -> str:
    """The key under which a complex tensor is stored, as real and imaginary parts."""
    return COMPLEX + name


def _plain(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return (torch.view_as_real(value.resolve_conj()) if value.is_complex() else value).contiguous()


def _checksum(tensors: Mapping[str, Tensor], fingerprint: dict[str, Any]) -> str:
    """SHA-256 of names, types, shapes and values, and of the fingerprint."""
    digest = hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data if value.numel() else b"")
    return digest.hexdigest()
