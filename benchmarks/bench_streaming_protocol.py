"""Particles that come in 15 portions against the same particles at once, both through Scipion's protocol.

``python benchmarks/bench_streaming_protocol.py [--seeds 0 1 2]``: purity, share of right poses, when the first classes
were there.  The targets: every particle in exactly one class, first classes while particles come, and both figures
within 0.01 of those of the static run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from streaming_project import StreamingProject, in_scipion

PARTICLES, PORTIONS, PAUSE_SECONDS = 3000, 15, 15.0
INITIAL, BATCH = 1000, 200
TOLERANCE = 0.01


def compare(home: Path, seed: int) -> bool:
    """Print a line for the static run and one for the stream; say whether the targets are met."""
    from alignpca2d_plugin.growing_input import look

    work = StreamingProject(home, f"seed{seed}", seed, PARTICLES)
    static = work.classification(work.importing, seed)
    work.project.launchProtocol(static, wait=True)
    assert static.isFinished(), static.getErrorMessage()
    producer = work.emitter(PORTIONS, PAUSE_SECONDS)
    stream = work.classification(producer, seed, initialParticles=INITIAL, batchSize=BATCH, streamingSleepOnWait=1)
    work.project.launchProtocol(producer, wait=False)
    work.wait(producer, lambda: hasattr(producer, "outputParticles"))
    work.project.launchProtocol(stream, wait=False)
    began = time.monotonic()
    work.wait(stream, lambda: hasattr(stream, "outputClasses"))
    growing, ids = look(producer.outputParticles)
    seconds = time.monotonic() - began
    print(f"seed {seed}: first classes after {seconds:.0f} s, when {len(ids)} particles had come", flush=True)
    work.wait(stream, lambda: False)
    assert stream.isFinished(), stream.getErrorMessage()
    one, other = work.evaluation(static), work.evaluation(stream)
    for name, figures in (("static", one), ("stream", other)):
        print(
            f"  {name}: purity {figures['purity']:.4f}, poses {figures['pose_within']:.4f}, "
            f"{figures['members']} members, {figures['distinct']} distinct",
            flush=True,
        )
    with Path(stream._getExtraPath("summary.json")).open(encoding="utf-8") as file:
        print(f"  batches: {[b['particles'] for b in json.load(file)['history']['batches']]}", flush=True)
    complete = other["members"] == other["distinct"] == PARTICLES
    close = all(other[figure] > one[figure] - TOLERANCE for figure in ("purity", "pose_within"))
    return growing and complete and close


def main(arguments: list[str] | None = None) -> bool:
    """Print everything; say whether the targets are met for every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--home", type=Path, help="keep the Scipion projects there")
    options = parser.parse_args(arguments)
    home = (options.home or Path(tempfile.mkdtemp(prefix="alignpca2d-bench-"))).resolve()
    seeds = list(map(str, options.seeds))
    in_scipion(home, [__file__, "--home", str(home), "--seeds", *seeds])
    met = [compare(home, seed) for seed in options.seeds]
    return all(met)


@pytest.mark.benchmark
def test_stream_is_as_good_as_a_static_run(tmp_path: Path) -> None:
    """The same under ``make bench-all``, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--home", str(tmp_path)], check=False)
    shutil.rmtree(tmp_path, ignore_errors=True)
    assert done.returncode == 0


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
