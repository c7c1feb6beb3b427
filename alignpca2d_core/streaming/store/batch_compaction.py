"""Many small batches become one: files, and what each costs a delivery, stay few however long the stream."""

from __future__ import annotations

from pathlib import Path

from ...io.atomic_files import atomic_path
from .given_rows import split_lines
from .stream_records import Assignments, Batch
from .stream_store import StreamStore

MOST_MERGED, LEAST_MERGED = 2048, 8
"""Particles of a batch that was made of several, few enough to be revisited at once; how many are worth it."""


def merge(journal: StreamStore) -> None:
    """Make one batch of neighbours that have been compared with the same classes; nothing else changes."""
    batches = journal.record.batches
    journal.record.batches = [merged(journal, group) if len(group) > 1 else group[0] for group in groups(batches)]


def merged(journal: StreamStore, group: list[Batch]) -> Batch:
    """One batch of several, its files written."""
    first = group[0]
    batch = Batch(
        name=journal.new_name(),
        count=sum(one.count for one in group),
        first=first.first,
        imprints=[part for one in group for part in one.imprints],
        given=[part for one in group for part in one.given],
        version=1,
        generation=first.generation,
        delivery=max(one.delivery for one in group),
    )
    texts = [journal.input_path(one).read_bytes() for one in group]
    # All have the same columns in the same order: behind the first head come the rows of all.
    rows = [b"".join(split_lines(text)[-one.count :]) for text, one in zip(texts[1:], group[1:], strict=True)]
    _write(journal.input_path(batch), b"".join([texts[0], *rows]))
    given = [journal.given_path(one) for one in group if journal.given_path(one).is_file()]
    if given:
        _write(journal.given_path(batch), b"".join(path.read_bytes() for path in given))
    journal.save(batch, Assignments.join([journal.assignments(one) for one in group]))
    laid_out = [journal.rows_path(one) for one in group]
    if all(path.is_file() for path in laid_out):
        _write(journal.rows_path(batch), b"".join(path.read_bytes() for path in laid_out))
    return batch


def groups(batches: list[Batch]) -> list[list[Batch]]:
    """Neighbouring batches that may be one, in order; most groups are single batches."""
    found: list[list[Batch]] = []
    open_group: list[Batch] = []

    def close() -> None:
        total = sum(batch.count for batch in open_group)
        worth = len(open_group) >= LEAST_MERGED or (len(open_group) > 1 and total > MOST_MERGED // 2)
        found.extend([list(open_group)] if worth else [[batch] for batch in open_group])
        open_group.clear()

    for batch in batches:
        fits = sum(one.count for one in open_group) + batch.count <= MOST_MERGED
        alike = not open_group or (batch.generation == open_group[0].generation and fits)
        if not (batch.version and alike):
            close()
        open_group.append(batch)
        if not batch.version:
            close()
    close()
    return found


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
