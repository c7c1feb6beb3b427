"""A stand-in for the core, for tests of the plugin: the same command line and files, and no classification.

The particle with id i goes to class 1 + i % K with psi = i degrees and shifts (i / 100, -i / 100).  Batch b of a stream
looks again at the particles known before whose id leaves b % 5 when divided by 5: they move b classes further.

FAKE_CORE in the environment makes it fail: `option`, `fault`, `killed`, `silent`, or `slow` (waits to be stopped); in
an `update` only when it comes to batch B if it ends in `@B`.  `midway@B` kills it among the writing of its results.
"""

import json
import os
import signal
import sys
import time

import numpy as np

BOX = 32
EXTRA = ("ref", "anglePsi", "shiftX", "shiftY", "flip", "scoreByAlignability")


def main(words):
    print("Stage 1: 10 %", file=sys.stderr, flush=True)
    how, _, at = os.environ.get("FAKE_CORE", "").partition("@")
    if not at:
        code = fail(how)
        if code is not None:
            return code
    if words[0] == "update":
        return update(words, how, int(at or 0))
    classify(words)
    return 0


def fail(how):
    """Fail, or return the exit code, or None to go on."""
    if how == "option":
        print("alignpca2d: error: --classes 0: must lie in [1, 100000]", file=sys.stderr)
        return 2
    if how == "fault":
        raise MemoryError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes")
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "slow":
        time.sleep(600)
    return 0 if how == "silent" else None


def classify(words):
    options = dict(zip(words, words[1:]))
    labels, rows = read(words[1])
    number = min(int(options.get("--classes", 3)), len(rows))
    classes = {row[0]: 1 + int(row[0]) % number for row in rows}
    write_particles(os.path.join(options["-o"], "particles.xmd"), labels, rows, classes)
    write_classes(options["-o"], classes, number)
    write_summary(options["-o"], words, classes, number)


def update(words, how, at):
    options = dict(zip(words, words[1:]))
    folder, last = options["-o"], "--last" in words
    number = int(options.get("--classes", 3))
    state = load(folder)
    state["labels"], rows = read(words[1]) if not state["rows"] else (state["labels"], read(words[1])[1])
    known = {row[1] for row in state["rows"]}
    new = [row for row in rows if row[1] not in known]
    state["rows"] += new
    missing = int(options["--initial-particles"]) - len(state["rows"])
    if not state["batch"] and missing > 0 and not last:
        save(folder, state)
        write_json(os.path.join(folder, "summary.json"), {"stream": {"batch": 0, "missing": missing, "closed": False}})
        return 0
    if new or (last and not state["closed"]) or not state["batch"]:
        code = deliver(folder, state, number, how if state["batch"] + 1 == at else "")
        if code is not None:
            return code
    state["closed"] = state["closed"] or last
    save(folder, state)
    stream = {"batch": state["batch"], "missing": 0, "closed": state["closed"], "particles": len(state["rows"])}
    write_summary(folder, words, state["classes"], number, stream, state["history"])
    return 0


def deliver(folder, state, number, how):
    code = fail(how)
    if code is not None:
        return code
    state["batch"] += 1
    batch, classes, changed = state["batch"], state["classes"], []
    for row in state["rows"]:
        i = int(row[0])
        if row[0] not in classes:
            classes[row[0]] = 1 + i % number
            changed.append(row)
        elif i % 5 == batch % 5:
            classes[row[0]] = 1 + (i + batch) % number
            changed.append(row)
    figures = {"batch": batch, "particles": len(state["rows"]), "new": len(changed), "classes": number}
    state["history"].append({**figures, "resolution": [30 - batch + k for k in range(number)], "seconds": 1.0})
    write_particles(os.path.join(folder, "particles.xmd"), state["labels"], state["rows"], classes)
    if how == "midway":
        os.kill(os.getpid(), signal.SIGKILL)
    write_particles(os.path.join(folder, "changed.xmd"), state["labels"], changed, classes)
    write_classes(folder, classes, number)
    return None


def load(folder):
    try:
        with open(os.path.join(folder, "state", "stream.json"), encoding="utf-8") as stream:
            return json.load(stream)
    except OSError:
        return {"batch": 0, "closed": False, "labels": [], "rows": [], "classes": {}, "history": []}


def save(folder, state):
    os.makedirs(os.path.join(folder, "state"), exist_ok=True)
    write_json(os.path.join(folder, "state", "stream.json"), state)


def read(path):
    """The labels and the rows of a block of particles, of which `itemId` and `image` come first."""
    with open(path, encoding="utf-8") as stream:
        lines = stream.read().split("loop_\n", 1)[1].splitlines()
    labels = [line.split()[0][1:] for line in lines if line.startswith(" _")]
    assert labels[:2] == ["itemId", "image"]
    return labels, [line.split() for line in lines if line and not line.startswith(" _")]


def write_particles(path, labels, rows, classes):
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        stream.write("# XMIPP_STAR_1 *\n#\ndata_particles\nloop_\n")
        stream.writelines(f" _{label}\n" for label in (*labels, *EXTRA))
        for row in rows:
            i = int(row[0])
            alignment = [f"{classes[row[0]]}", f"{i % 360}", f"{i / 100}", f"{-i / 100}", "0", "0.5"]
            stream.write(" ".join([*row, *alignment]) + "\n")
    os.replace(path + ".tmp", path)


def write_classes(folder, classes, number):
    sizes = np.bincount(list(classes.values()), minlength=number + 1)[1:]
    path = os.path.join(folder, "classes.xmd")
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        stream.write("# XMIPP_STAR_1 *\n#\ndata_classes\nloop_\n")
        stream.writelines(f" _{label}\n" for label in ("ref", "image", "classCount", "resolutionFRC", "fom"))
        for k in range(number):
            stream.write(f" {k + 1} {k + 1:06d}@{folder}/classes.mrcs {sizes[k]} {20 + k} {1 - k / 100}\n")
    os.replace(path + ".tmp", path)
    header = np.zeros(256, "<i4")
    header[[0, 1, 2, 3, 7, 8, 9]] = BOX, BOX, number, 2, BOX, BOX, number
    header[16:19] = 1, 2, 3
    header[52] = int.from_bytes(b"MAP ", "little")
    images = np.random.default_rng(0).normal(size=(number, BOX, BOX)).astype("<f4")
    path = os.path.join(folder, "classes.mrcs")
    with open(path + ".tmp", "wb") as stream:
        stream.write(header.tobytes() + images.tobytes())
    os.replace(path + ".tmp", path)


def write_summary(folder, words, classes, number, stream=None, history=()):
    sizes = np.bincount(list(classes.values()), minlength=number + 1)[1:].tolist()
    summary = {
        "warnings": ["this is a stand-in"],
        "arguments": words,
        "classes": {"size": sizes, "verdict": (["good", "doubtful", "junk"] * number)[:number]},
    }
    if stream is not None:
        summary.update(stream=stream, history={"batches": list(history)})
    write_json(os.path.join(folder, "summary.json"), summary)


def write_json(path, value):
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    os.replace(path + ".tmp", path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
