"""Nothing is lost on the way through: metadata comes back as it was given, but for what is ours."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from particle_files import two_views
from simulated import run

from alignpca2d_core.fourier.rigid_transforms import Poses, from_relion
from alignpca2d_core.io.particle_reading import read_particles
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.io.star.star_reader import read_blocks
from alignpca2d_core.results.exported import Exported
from alignpca2d_core.results.given_star import write_given_star
from alignpca2d_core.results.given_tables import GivenTable
from alignpca2d_core.results.relion_export import export_relion
from alignpca2d_core.results.result_files import Classification, write_results
from alignpca2d_core.runtime.progress import Progress
from alignpca2d_core.settings import Settings
from alignpca2d_core.streaming import update as update_module
from alignpca2d_core.streaming.update import update

FILES = 250
"""Of each program."""
OURS = {
    "star": {
        "rlnClassNumber",
        "rlnAnglePsi",
        "rlnOriginX",
        "rlnOriginY",
        "rlnOriginXAngst",
        "rlnOriginYAngst",
        "rlnParticleFigureOfMerit",
        "rlnMaxValueProbDistribution",
    },
    "xmd": {
        "ref",
        "anglePsi",
        "shiftX",
        "shiftY",
        "flip",
        "scoreByAlignability",
        "pMax",
        "zScoreResVar",
        "enabled",
        "itemId",
        "angleRot",
        "angleTilt",
        "shiftZ",
    },
}
WORDS = (
    "mic_01.mrc",
    "MotionCorr/job002/a b.mrc",
    "0012",
    "1.50",
    "-0.000",
    "1e5",
    "nan",
    "it's",
    'a "b" c',
    "x#1",
    "α",
    "",
)
KNOWN = {
    "star": ("rlnCoordinateX", "rlnHelicalTubeID", "rlnGroupName", "rlnBeamTiltX", "rlnAutopickFigureOfMerit",
             "rlnAnglePsi", "rlnClassNumber", "rlnOriginXAngst", "rlnAngleRot", "rlnSomethingNew", "unknown"),
    "xmd": ("xcoor", "micrograph", "helicalTube", "shiftX", "ref", "enabled", "angleRot", "classificationData", "new"),
}  # fmt: skip


class RandomFile:
    """A file of particles with columns, quoting, other blocks and layout by chance.

    Parameters
    ----------
    kind : str
        ``star`` or ``xmd``.
    seed : int
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.random = kind, np.random.default_rng([seed, kind == "star"])
        self.count = int(self.random.integers(1, 9))
        self.name = {"star": "particles", "xmd": str(self.random.choice(["particles", "noname", "images"]))}[kind]
        self.has_optics = kind == "star" and bool(self.random.random() < 0.7)

    def text(self) -> str:
        random, blocks = self.random, [self._particles()]
        if self.has_optics:
            blocks.insert(0, self._optics())
        for number in range(random.integers(0, 3)):
            rows = [[self._word() for _ in range(3)] for _ in range(random.integers(0, 4))]
            place = int(random.integers(0, len(blocks) + 1))
            blocks.insert(place, self._loop(f"other_{number}", ["one", "two", "three"], rows))
        if random.random() < 0.3:
            blocks.insert(0, "data_general\n\n_rlnNumber 12\n_rlnText 'a b'\n")
        head = "# XMIPP_STAR_1 *\n#\n" if self.kind == "xmd" and random.random() < 0.7 else "\n# version 30001\n\n"
        return (head + str(random.choice(["\n", "\n\n# version 30001\n\n"])).join(blocks)).replace(
            "\n", str(random.choice(["\n", "\r\n"], p=[0.85, 0.15]))
        )

    def _optics(self) -> str:
        self.groups = self.random.choice(np.arange(1, 12), size=self.random.integers(1, 4), replace=False)
        labels = ["rlnOpticsGroup", "rlnOpticsGroupName", "rlnImagePixelSize", "rlnVoltage", "rlnMtfFileName"]
        rows = [[f"{g}", f"og{g}", f"{self.random.choice([1.06, 1.38])}", "300.000", self._word()] for g in self.groups]
        return self._loop("optics", labels, rows)

    def _particles(self) -> str:
        random = self.random
        if self.has_optics:
            self.groups = np.arange(1, 1)
            optics = self._optics()
            self._optics = lambda: optics  # type: ignore[method-assign]
        extra = random.permutation(KNOWN[self.kind])[: random.integers(0, len(KNOWN[self.kind]))].tolist()
        image = {"star": "rlnImageName", "xmd": "image"}[self.kind]
        labels = random.permutation([image, *extra, *(["rlnOpticsGroup"] if self.has_optics else [])]).tolist()
        rows = [[self._value(label, row) for label in labels] for row in range(self.count)]
        return self._loop(self.name, labels, rows)

    def _value(self, label: str, row: int) -> str:
        if label in ("rlnImageName", "image"):
            return f"{row + 1:0{self.random.choice([1, 6])}d}@stack.mrcs"
        if label == "rlnOpticsGroup":
            return str(self.random.choice(self.groups))
        if label in ("enabled", "rlnClassNumber", "ref"):
            return "1"
        if label in ("anglePsi", "shiftX", "rlnAnglePsi", "rlnOriginXAngst", "angleRot"):
            return f"{self.random.normal():.3f}"
        return self._word()

    def _word(self) -> str:
        return str(self.random.choice(WORDS)) if self.random.random() < 0.5 else f"{self.random.normal():.{6}f}"

    def _loop(self, name: str, labels: list[str], rows: list[list[str]]) -> str:
        numbered = self.random.random() < 0.5
        head = "".join(f"_{label} #{k}\n" if numbered else f" _{label}\n" for k, label in enumerate(labels, 1))
        gap = str(self.random.choice([" ", "   ", "\t"]))
        lines = [gap.join(self._quoted(word) for word in row) for row in rows]
        if lines and self.random.random() < 0.3:
            lines.insert(int(self.random.integers(0, len(lines))), "")
            lines[-1] += " # the end"
        return f"data_{name}\n\nloop_\n{head}" + "".join(f"{line}\n" for line in lines)

    def _quoted(self, word: str) -> str:
        marks = [mark for mark in "'\"" if not re.search(mark + r"(\s|$)", word)]
        must = not word or re.search(r"\s", word) or word[0] in "'\"#_"
        return f"{marks[0]}{word}{marks[0]}" if must or (marks and self.random.random() < 0.2) else word


VALUE = re.compile(r"""#.*|(["'])(.*?)\1(?!\S)|(\S+)""")


def tables(text: str) -> dict[str, dict[str, list[str]]]:
    """Block -> label -> the text of its values: a plain reader for the comparison, which no code of ours is in."""
    found: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        values = [m.group(2) if m.group(1) else m.group(3) for m in VALUE.finditer(line) if m.group()[0] != "#"]
        if not values or line.strip() == "loop_":
            continue
        if line.strip().startswith("data_") and len(values) == 1:
            block = found.setdefault(values[0][5:], {})
        elif line.strip().startswith("_"):
            block[values[0][1:]] = values[1:]
        else:
            for column, value in zip(block.values(), values, strict=True):
                column.append(value)
    return found


def classified(count: int, seed: int) -> Classification:
    random = np.random.default_rng(seed)
    return Classification(
        assignments=random.integers(-1, 2, count),
        poses=Poses(random.uniform(-180, 180, count), random.normal(size=count), random.normal(size=count)),
        score=random.uniform(size=count).astype(np.float32),
        averages=random.normal(size=(2, 8, 8)).astype(np.float32),
        sizes=np.array([1, 1]),
        resolution_angstrom=np.ones(2),
        quality=np.ones(2),
        frc=np.ones((2, 5)),
    )


def compare(before: str, after: str, block: str, written: str, ours: set[str]) -> dict[str, list[str]]:
    """Hold everything that is not ours in one file against the other; the table of particles."""
    given, found = tables(before), tables(after)
    assert [written if name == block else name for name in given] == list(found)
    for name, columns in given.items():
        others = found[written if name == block else name]
        if name != block:
            assert others == columns
            continue
        assert list(others)[: len(columns)] == list(columns)
        assert set(others) - set(columns) <= ours
        for label in columns.keys() - ours:
            assert others[label] == columns[label], label
    return found[written]


@pytest.mark.parametrize("part", range(5))
def test_random_star_files_come_back(tmp_path: Path, part: int) -> None:
    for seed in range(part * FILES // 5, (part + 1) * FILES // 5):
        random, path = RandomFile("star", seed), tmp_path / "given.star"
        text = random.text()
        path.write_text(text, encoding="utf-8", newline="")
        particles, result = read_particles(path), classified(random.count, seed)
        given = [GivenTable(path, particles.origin.block, "relion")] if particles.origin else []
        summary = {"input": {"sampling_rate": 2.0}, "settings": {}}
        chosen = result.assignments >= 0
        exported = Exported(tmp_path, particles, result, summary, chosen, False, given)
        write_given_star(tmp_path / "out.star", exported)
        out = (tmp_path / "out.star").read_text(encoding="utf-8")
        found = compare(text, out, "particles", "particles", OURS["star"])
        np.testing.assert_array_equal([int(v) for v in found["rlnClassNumber"]], result.assignments + 1)
        read_particles(tmp_path / "out.star")


@pytest.mark.parametrize("part", range(5))
def test_random_xmd_files_come_back(tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(part * FILES // 5, (part + 1) * FILES // 5):
        random, path = RandomFile("xmd", seed), tmp_path / "given.xmd"
        text = random.text()
        path.write_text(text, encoding="utf-8", newline="")
        result = classified(random.count, seed)
        write_results(tmp_path / "out", read_particles(path), result, 2.0, {})
        out = (tmp_path / "out" / "particles.xmd").read_text(encoding="utf-8")
        found = compare(text, out, random.name, "particles", OURS["xmd"])
        np.testing.assert_array_equal([int(v) for v in found["ref"]], result.assignments + 1)
        assert out.startswith("# XMIPP_STAR_1")


HEAD = "\n# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroupName #1\n_rlnOpticsGroup #2\n_rlnImagePixelSize #3\n"
HEAD += "_rlnVoltage #4\n_rlnSphericalAberration #5\n_rlnAmplitudeContrast #6\n_rlnImageSize #7\n"
LABELS = "rlnImageName rlnOpticsGroup rlnDefocusU rlnHelicalTubeID rlnBeamTiltX rlnGroupName rlnNew"


def star(path: Path, stack: str, group: int, count: int, voltage: str = "300.000000", labels: str = LABELS) -> Path:
    """A RELION file of particles with columns that nothing here knows, and a block of its own behind them."""
    values = {
        "rlnOpticsGroup": f"{group}",
        "rlnDefocusU": "12000.50",
        "rlnHelicalTubeID": "07",
        "rlnBeamTiltX": "-0.500",
        "rlnGroupName": "group_01",
        "rlnNew": "0x1f",
    }
    rows = [
        "  ".join(f"{row}@{stack}" if label == "rlnImageName" else values[label] for label in labels.split())
        for row in range(1, count + 1)
    ]
    head = "".join(f"_{label} #{k} \n" for k, label in enumerate(labels.split(), 1))
    optics = f"og{group} {group} 5.000000 {voltage} 2.700000 0.100000 32\n"
    text = f"{HEAD}{optics} \n\n# version 30001\n\ndata_particles\n\nloop_\n{head}" + "\n".join(rows)
    path.write_text(text + "\n\n\n# version 30001\n\ndata_mine\n\n_rlnKey 0.10\n")
    return path


def test_classified_and_exported(tmp_path: Path) -> None:
    images = two_views(40)
    images[5] = 1.0
    write_stack(tmp_path / "s.mrcs", images, 5.0)
    path = star(tmp_path / "in.star", "s.mrcs", 4, 40)
    run(path, tmp_path / "out", classes=2, resolution=20.0, iterations=1)
    (tmp_path / "moved").mkdir()
    path.rename(tmp_path / "moved" / "in.star")
    _, warnings = export_relion(tmp_path / "out")
    assert "1 particles are in no class" in warnings[-1]
    text = (tmp_path / "out" / "particles.star").read_text()
    found = compare((tmp_path / "moved" / "in.star").read_text(), text, "particles", "particles", OURS["star"])
    assert found["rlnClassNumber"][5] == "0"
    result = read_blocks(tmp_path / "out" / "particles.xmd")["particles"]
    origins = (np.array(found[label], dtype=float) for label in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"))
    poses = from_relion(*origins, 5.0)
    np.testing.assert_allclose(poses.shift_x_px, result["shiftX"], atol=1e-4)
    assert len(text.splitlines()) == len((tmp_path / "moved" / "in.star").read_text().splitlines()) + 6
    export_relion(tmp_path / "out", good_only=True)
    assert "5.000000 300.000000" in (tmp_path / "out" / "particles.star").read_text()


def test_the_input_is_not_overwritten(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs", two_views(20), 5.0)
    path = star(tmp_path / "particles.star", "s.mrcs", 1, 20)
    before = path.read_bytes()
    run(path, tmp_path, classes=2, resolution=20.0, iterations=1)
    with pytest.raises(Exception, match="would be overwritten"):
        export_relion(tmp_path)
    assert path.read_bytes() == before


def take(path: Path | None, folder: Path, last: bool = False) -> dict[str, Any]:
    settings = Settings(classes=2, resolution=20.0, threads=1, initial_particles=30)
    update(path, folder, settings, Progress(quiet=True), last)
    return json.loads((folder / "summary.json").read_text())


def test_a_stream_of_several_files(tmp_path: Path) -> None:
    """Three files: the second repeats a group, the third has another one of the same number, and other columns."""
    reordered = " ".join(reversed([*LABELS.split()[:-1]]))
    paths = []
    for k, (group, voltage, labels) in enumerate(
        [(2, "300.000000", LABELS), (2, "300.000000", LABELS), (2, "200.000000", reordered)]
    ):
        write_stack(tmp_path / f"s{k}.mrcs", two_views(20, seed=k), 5.0)
        paths.append(star(tmp_path / f"{k}.star", f"s{k}.mrcs", group, 20, voltage, labels))
        take(paths[-1], tmp_path / "out")
    for path in paths:
        path.unlink()
    shutil.move(tmp_path / "out", tmp_path / "there")
    _, warnings = export_relion(tmp_path / "there")
    assert any("rlnNew" in line for line in warnings)
    assert any("2 is now 1" in line for line in warnings)
    found = tables((tmp_path / "there" / "particles.star").read_text())
    assert found["optics"]["rlnOpticsGroup"] == ["2", "1"]
    assert found["optics"]["rlnVoltage"] == ["300.000000", "200.000000"]
    assert found["particles"]["rlnOpticsGroup"] == ["2"] * 40 + ["1"] * 20
    assert found["particles"]["rlnImageName"] == [f"{n}@s{k}.mrcs" for k in range(3) for n in range(1, 21)]
    assert set(found["particles"]["rlnHelicalTubeID"]) == {"07"}
    assert found["mine"] == {"rlnKey": ["0.10"]}
    ours = read_blocks(tmp_path / "there" / "particles.xmd")["particles"]
    np.testing.assert_array_equal(np.array(found["particles"]["rlnClassNumber"], dtype=int), ours["ref"])


def test_what_a_stream_has_delivered_can_be_exported_while_it_takes_in_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(2):
        write_stack(tmp_path / f"s{k}.mrcs", two_views(20 + 20 * k, seed=k), 5.0)
    first, second = (star(tmp_path / f"{k}.star", f"s{k}.mrcs", 1, 20 + 20 * k) for k in range(2))
    take(second, tmp_path / "out")
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(update_module, "deliver", Mock(side_effect=KeyboardInterrupt))
        take(first, tmp_path / "out")
    export_relion(tmp_path / "out")
    found = tables((tmp_path / "out" / "particles.star").read_text())
    assert found["particles"]["rlnImageName"] == [f"{n}@s1.mrcs" for n in range(1, 41)]
    assert take(None, tmp_path / "out", last=True)["counts"]["particles"] == 60


def test_a_stream_of_xmd_keeps_the_text_of_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for k in range(2):
        write_stack(Path(f"s{k}.mrcs"), two_views(20, seed=k), 5.0)
        rows = "".join(f"{n}@s{k}.mrcs 0.500 '' {n + 20 * k} 1.0\n" for n in range(1, 21))
        labels = "".join(f" _{label}\n" for label in ("image", "zScore", "comment", "itemId", "ref"))
        Path(f"{k}.xmd").write_text(f"data_noname\nloop_\n{labels}{rows}data_other\n _a 1.50\n")
        take(Path(f"{k}.xmd"), Path("out"))
    found = tables(Path("out/particles.xmd").read_text())
    assert list(found) == ["particles", "other"]
    assert found["other"] == {"a": ["1.50"]}
    table = found["particles"]
    assert list(table)[:5] == ["image", "zScore", "comment", "itemId", "ref"]
    assert set(table["zScore"]) == {"0.500"}
    assert set(table["comment"]) == {""}
    assert table["image"] == [f"{n}@s{k}.mrcs" for k in range(2) for n in range(1, 21)]
    assert set(table["ref"]) <= {"0", "1", "2"}
