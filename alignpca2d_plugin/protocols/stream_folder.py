"""What a growing input has handed to the core, as files: the only memory of a stream, so that Continue works.

``batch_000012.xmd``
    particles that are to be given to the core, or are being given: written whole, then renamed to this
``given_000012.xmd``
    the same after the core has taken them
``progress.json``
    how many particles the input had and how many start the classes, for the summary
``found.jsonl``
    how many particles the input had at what time, a line each, for the monitor
"""

import json
import os
import re
import time

from ..constants import ID_LABEL, IMAGE_LABEL
from ..convert import write_particles
from ..results import read_rows

BATCH, GIVEN = "batch_%06d.xmd", "given_%06d.xmd"
PROGRESS, FOUND = "progress.json", "found.jsonl"
RECORD_SECONDS = 10.0
NOTHING = "nothing.xmd"
NAME = re.compile(r"(batch|given)_(\d+)\.xmd")


class StreamFolder:
    """The folder of one protocol's stream; it may not exist yet."""

    def __init__(self, path):
        self.path = path
        self._recorded, self._record_time = None, 0.0

    def exists(self):
        return os.path.isdir(self.path)

    def make(self):
        os.makedirs(self.path, exist_ok=True)

    def ids(self):
        """The set of ids that were handed over or are about to be."""
        return set().union(*(self._ids_in(name) for name in self._names()))

    def ids_of_batch(self, number):
        """The set of ids in a batch that the core has not taken yet."""
        return self._ids_in(BATCH % number)

    def _ids_in(self, name):
        return {int(row[0]) for row in read_rows(os.path.join(self.path, name), "particles", (ID_LABEL,))}

    def pending(self):
        """The number of the batch that the core has not taken yet, or None."""
        numbers = [int(NAME.match(name).group(2)) for name in self._names() if name.startswith("batch")]
        return min(numbers) if numbers else None

    def batch(self, number):
        """The metadata file of a batch."""
        return os.path.join(self.path, BATCH % number)

    def nothing(self):
        """A metadata file without particles, which is made."""
        path = os.path.join(self.path, NOTHING)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(f"# XMIPP_STAR_1 *\n#\ndata_particles\nloop_\n _{ID_LABEL}\n _{IMAGE_LABEL}\n")
        return path

    def write(self, particles, ids, with_ctf, pose_of=None):
        """Write a batch with these particles, none of which was handed over before; return its number."""
        numbers = [int(NAME.match(name).group(2)) for name in self._names()]
        number = max(numbers, default=0) + 1
        write_particles(particles, self.batch(number), with_ctf, ids, pose_of)
        return number

    def taken(self, number):
        """Remember that the core has taken a batch."""
        os.replace(self.batch(number), os.path.join(self.path, GIVEN % number))

    def note(self, **progress):
        """Leave figures for the summary, which another process makes."""
        temporary = os.path.join(self.path, PROGRESS + ".tmp")
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(progress, stream)
        os.replace(temporary, self.progress_file())
        if "found" in progress:
            self._record(progress["found"])

    def _record(self, found):
        """Add to the record of arrivals, but not too often."""
        now = time.time()
        if found != self._recorded and now - self._record_time >= RECORD_SECONDS:
            with open(os.path.join(self.path, FOUND), "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"time": round(now, 1), "found": found}) + "\n")
            self._recorded, self._record_time = found, now

    def found_over_time(self):
        """The record of arrivals, [{"time": seconds since 1970, "found": particles in the input}], and what is now."""
        lines = []
        try:
            with open(os.path.join(self.path, FOUND), encoding="utf-8") as stream:
                lines += [json.loads(line) for line in stream if line.endswith("\n")]
            now = {"time": os.stat(self.progress_file()).st_mtime, "found": self.progress()["found"]}
        except (OSError, ValueError, KeyError):
            return lines
        return [*lines, now]

    def progress_file(self):
        """The file with the figures for the summary."""
        return os.path.join(self.path, PROGRESS)

    def progress(self):
        """What was noted last."""
        try:
            with open(self.progress_file(), encoding="utf-8") as stream:
                return json.load(stream)
        except (OSError, ValueError):
            return {}

    def _names(self):
        return sorted(name for name in os.listdir(self.path) if NAME.fullmatch(name)) if self.exists() else []
