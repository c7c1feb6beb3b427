"""Images come in order, are read ahead by several threads into memory that is used again, and no further than that."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from alignpca2d_core.errors import InputError
from alignpca2d_core.preprocessing import image_feed
from alignpca2d_core.preprocessing.image_feed import ImageFeed

CPU = torch.device("cpu")
SECONDS, LONG = 0.02, 20.0


class SlowReader:
    """Image i is full of i; a batch takes a while, as from a disk elsewhere."""

    box = 4

    def __init__(self, seconds: float = SECONDS, missing: int = -1) -> None:
        self.seconds, self.missing = seconds, missing
        self.at_once = self.read_so_far = 0
        self.lock = threading.Lock()

    def read(self, rows: NDArray[np.int64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        assert out is not None
        assert out.shape == (len(rows), self.box, self.box)
        with self.lock:
            self.at_once += 1
        time.sleep(self.seconds * (1 + int(rows[0]) % 3))  # some overtake others
        if self.missing in rows:
            raise InputError("ends before image 7")
        out[:] = rows[:, None, None]
        with self.lock:
            self.at_once -= 1
            self.read_so_far += 1
        return out


def in_batches(count: int, size: int = 2) -> list[NDArray[np.int64]]:
    return np.split(np.arange(count), range(size, count, size))


def test_batches_come_in_order() -> None:
    batches = in_batches(25)
    found = [(rows, images.clone()) for rows, images in ImageFeed(SlowReader(0.002), CPU).batches(batches)]
    assert [rows.tolist() for rows, _ in found] == [rows.tolist() for rows in batches]
    for rows, images in found:
        assert images[:, 0, 0].tolist() == rows.tolist()


def test_reading_goes_on_while_the_caller_works() -> None:
    """While the caller keeps a batch, those that come after it are read, without being asked for."""
    reader = SlowReader()
    batches = ImageFeed(reader, CPU).batches(in_batches(16))
    for number, _ in enumerate(batches, start=1):
        deadline = time.monotonic() + LONG
        while reader.read_so_far < min(8, number + image_feed.READERS):
            assert time.monotonic() < deadline, f"nothing is read while batch {number} is worked on"
            time.sleep(SECONDS / 5)


def test_several_batches_are_read_at_a_time() -> None:
    """Each reading waits for another to have begun: with one thread none would end."""
    reader, meeting = SlowReader(0.0), threading.Barrier(image_feed.READERS, timeout=LONG)

    class Meeting(SlowReader):
        def read(self, rows: NDArray[np.int64], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
            meeting.wait()
            return reader.read(rows, out)

    count = 2 * image_feed.READERS
    assert len(list(ImageFeed(Meeting(), CPU).batches(in_batches(2 * count)))) == count


def test_no_more_is_read_ahead_than_there_is_room_for() -> None:
    reader = SlowReader(0.0)
    batches = ImageFeed(reader, CPU).batches(in_batches(200))
    next(batches)
    time.sleep(0.2)
    assert reader.read_so_far <= image_feed.READERS + image_feed.SENT
    batches.close()
    assert reader.at_once == 0


def test_memory_is_used_again() -> None:
    feed, places = ImageFeed(SlowReader(0.0), CPU), set()
    for _ in range(3):
        places |= {images.data_ptr() for _, images in feed.batches(in_batches(40))}
    assert len(places) <= image_feed.READERS + image_feed.SENT


def test_two_readings_at_a_time_do_not_disturb_each_other() -> None:
    feed = ImageFeed(SlowReader(0.0), CPU)
    for (rows, images), (others, more) in zip(
        feed.batches(in_batches(20)), feed.batches(in_batches(20)[::-1]), strict=True
    ):
        assert images[:, 0, 0].tolist() == rows.tolist()
        assert more[:, 0, 0].tolist() == others.tolist()


def test_a_file_that_ends_is_said_and_nothing_hangs() -> None:
    with pytest.raises(InputError, match="ends before image 7"):
        for _ in ImageFeed(SlowReader(0.0, missing=7), CPU).batches(in_batches(40)):
            pass


def test_nothing_is_read_of_nothing() -> None:
    assert list(ImageFeed(SlowReader(), CPU).batches([])) == []
