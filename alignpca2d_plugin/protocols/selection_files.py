"""Choices of classes as files: selection.json, as windows, report and program write and read it."""

import json
import os

from ..constants import SELECTION_JSON


def numbers_in(path):
    """The numbers of the classes that a selection.json names.

    Raises
    ------
    ValueError
        When it is none, or cannot be read; the message is for users.
    """
    return _content(path)[1]


def _content(path):
    try:
        with open(path, encoding="utf-8") as stream:
            said = json.load(stream)
        return int(said.get("version", 1)), frozenset(int(number) for number in said["classes"])
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no selection.json: it has no list of classes.") from error


def read_selection(folder):
    """The last choice that was made: which it is, from 1, and the numbers of its classes; or (0, empty)."""
    try:
        return _content(os.path.join(folder, SELECTION_JSON))
    except ValueError:
        return 0, frozenset()


def write_selection(folder, numbers):
    """Choose the classes with these numbers, for a protocol that runs, from now on."""
    save_numbers(os.path.join(folder, SELECTION_JSON), numbers, read_selection(folder)[0] + 1)


def save_numbers(path, numbers, version=1):
    """Write a selection.json, whole or not at all."""
    temporary = path + ".tmp"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump({"version": version, "classes": sorted(numbers)}, stream)
    os.replace(temporary, path)
