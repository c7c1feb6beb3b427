"""A stand-in for the core, for tests of the plugin: the same command line and files, and no classification.

The particle with id i goes to class 1 + i % K with psi = i degrees and shifts (i / 100, -i / 100).  FAKE_CORE in the
environment makes it fail: `option`, `fault`, `killed`, `silent`, or `slow` (waits to be stopped).
"""

import json
import os
import signal
import sys
import time

import numpy as np


def main(words):
    how = os.environ.get("FAKE_CORE", "")
    print("Stage 1: 10 %", file=sys.stderr, flush=True)
    if how == "option":
        print("alignpca2d: error: --classes 0: must lie in [1, 100000]", file=sys.stderr)
        return 2
    if how == "fault":
        raise MemoryError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "slow":
        time.sleep(600)
    if how != "silent":
        classify(words)
    return 0


def classify(words):
    options = dict(zip(words, words[1:]))
    folder = options["-o"]
    with open(words[1], encoding="utf-8") as stream:
        lines = stream.read().split("loop_\n", 1)[1].splitlines()
    labels = [line.split()[0][1:] for line in lines if line.startswith(" _")]
    rows = [line.split() for line in lines if line and not line.startswith(" _")]
    ids = [int(row[labels.index("itemId")]) for row in rows]
    number = min(int(options.get("--classes", 3)), len(ids))
    sizes = np.bincount([i % number for i in ids], minlength=number)
    with open(os.path.join(folder, "particles.xmd"), "w", encoding="utf-8") as stream:
        stream.write("# XMIPP_STAR_1 *\n#\ndata_particles\nloop_\n")
        columns = [*labels, "ref", "anglePsi", "shiftX", "shiftY", "flip", "scoreByAlignability"]
        stream.writelines(f" _{label}\n" for label in columns)
        for i, row in zip(ids, rows):
            stream.write(
                " ".join([*row, str(1 + i % number), f"{i % 360}", f"{i / 100}", f"{-i / 100}", "0", "0.5"]) + "\n"
            )
    with open(os.path.join(folder, "classes.xmd"), "w", encoding="utf-8") as stream:
        stream.write("# XMIPP_STAR_1 *\n#\ndata_classes\nloop_\n")
        stream.writelines(f" _{label}\n" for label in ("ref", "image", "classCount", "resolutionFRC", "fom"))
        for k in range(number):
            stream.write(f" {k + 1} {k + 1:06d}@{folder}/classes.mrcs {sizes[k]} {20 + k} {1 - k / 100}\n")
    box = 32
    header = np.zeros(256, "<i4")
    header[[0, 1, 2, 3, 7, 8, 9]] = box, box, number, 2, box, box, number
    header[16:19] = 1, 2, 3
    header[52] = int.from_bytes(b"MAP ", "little")
    images = np.random.default_rng(0).normal(size=(number, box, box)).astype("<f4")
    with open(os.path.join(folder, "classes.mrcs"), "wb") as stream:
        stream.write(header.tobytes() + images.tobytes())
    with open(os.path.join(folder, "summary.json"), "w", encoding="utf-8") as stream:
        json.dump({"warnings": ["this is a stand-in"], "arguments": words}, stream)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
