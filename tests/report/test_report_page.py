"""The report's content and its page: the right particles, honest pictures, nothing that could run or be fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytest.importorskip("PIL")

from report_files import SAMPLING_RATE, classification, discs, particle_set, results, run_of

from alignpca2d_core.alignment.fourier_pca import FourierPCA
from alignpca2d_core.commands.pictures import draw
from alignpca2d_core.errors import InputError
from alignpca2d_core.fourier.band import Band, as_real
from alignpca2d_core.fourier.rigid_transforms import Poses, apply, invert
from alignpca2d_core.io.stacks import write_stack
from alignpca2d_core.report import content as content_module
from alignpca2d_core.report import report_on
from alignpca2d_core.report.components import eigenimages, read_components
from alignpca2d_core.report.content import Subject, content
from alignpca2d_core.report.junk_groups import junk_groups
from alignpca2d_core.report.members import OFFSET_BINS, examples, spread
from alignpca2d_core.report.page import page
from alignpca2d_core.report.particles import Imaging, aligned_images, particle_snr
from alignpca2d_core.results.result_files import Classification, write_results
from alignpca2d_core.streaming.delivery import report_is_due

EVIL = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">&amp;{{script}}\u2028\''


class Markup(HTMLParser):
    """What a browser would find: every element with its attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def data_of(report: Path) -> dict[str, Any]:
    return json.loads(Markup(report.read_text(encoding="utf-8")).scripts[0])


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results(tmp_path_factory.mktemp("report"))


# -------------------------------------------------------------------------------------------- untrusted words


def test_words_that_look_like_markup_stay_words(tmp_path: Path) -> None:
    folder = tmp_path / '<img src=x onerror="alert(1)">'
    summary = {
        "settings": {"classes": EVIL, EVIL: EVIL},
        "warnings": [EVIL],
        "command": EVIL,
        "input": {"file": EVIL, "ctf": EVIL, "sampling_rate": 3.0},
        "program": {EVIL: EVIL},
        "times": {EVIL: {"wall_s": 1.0, "cpu_s": 1.0}},
    }
    text = (results(folder / "<script>x", summary=summary) / "report.html").read_text(encoding="utf-8")
    harmless = Markup((results(tmp_path / "plain") / "report.html").read_text(encoding="utf-8"))
    found = Markup(text)
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in harmless.elements]
    assert found.scripts[1] == harmless.scripts[1]
    said = json.loads(found.scripts[0])
    assert said["run"]["command"] == EVIL
    assert said["run"]["warnings"] == [EVIL]
    assert said["overview"]["input"] == EVIL
    assert {"name": "--" + EVIL.replace("_", "-"), "value": EVIL} in [
        {key: one[key] for key in ("name", "value")} for one in said["run"]["settings"]
    ]


def test_only_the_reports_own_script_may_run_and_nothing_is_fetched(out: Path) -> None:
    text = (out / "report.html").read_text(encoding="utf-8")
    found = Markup(text)
    policy = next(a["content"] for t, a in found.elements if t == "meta" and "http-equiv" in a) or ""
    digest = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    attributes = [pair for _, one in found.elements for pair in one.items()]
    addresses = [value for key, value in attributes if key in ("src", "href")]
    assert all(value and value.startswith(("data:", "#")) for value in addresses)
    assert set(re.findall(r"https?://[^\s\"']+", found.scripts[1])) == {"http://www.w3.org/2000/svg"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", found.scripts[1])


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    text = page({"title": "t", "a": float("nan"), "b": np.array([1.0, np.inf]), "c": np.int64(3)})
    assert json.loads(Markup(text).scripts[0]) == {"title": "t", "a": None, "b": [1.0, None], "c": 3}


# ---------------------------------------------------------------------------------------------------- content


def test_every_class_is_there_with_its_figures(out: Path) -> None:
    said, expected = data_of(out / "report.html"), classification(12, 600, 32)
    assert [one["size"] for one in said["classes"]] == expected.sizes.tolist()
    assert sum(one["share"] for one in said["classes"]) == pytest.approx(1)
    assert [one["resolution"] for one in said["classes"]] == pytest.approx(expected.resolution_angstrom)
    assert said["overview"]["classified"] == 599
    assert len(said["history"]["rounds"]) == 8
    assert len(said["history"]["batches"]) == 5
    changed = {one["name"]: one["changed"] for one in said["run"]["settings"]}
    assert changed == {"--classes": True, "--resolution": False, "--seed": True, "--mask-diameter": False}
    for one in said["classes"]:
        assert sum(one["angle"]) == sum(one["offset"]) == one["size"]
        assert one["image"].startswith("data:image/jpeg;base64,/9j/")
        assert len(one["best"]["names"]) == len(one["best"]["scores"])


def test_verdicts_and_features_are_shown_where_a_summary_has_them(tmp_path: Path) -> None:
    out = results(tmp_path, classes=3, particles=90)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    verdicts = ["good", "doubtful", "junk"]
    summary["classes"] |= {"verdict": verdicts, "centring": [0.1, 0.2, None], "odd": [1], "lists": [[1], [2], [3]]}
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    path, missing = report_on(out)
    said = data_of(path)["classes"]
    assert missing == []
    assert [one["verdict"] for one in said] == verdicts
    assert [one["features"]["centring"] for one in said] == [0.1, 0.2, None]
    assert not {"odd", "lists"} & set(said[0]["features"])


def test_junk_is_shown_in_groups(tmp_path: Path) -> None:
    particles, result = particle_set(tmp_path, 90, 32), classification(3, 90, 32)
    rows = np.flatnonzero(result.assignments == 2)
    sieved, clear, noise = rows[:1], rows[1:4], rows[4:]
    result = replace(result, misfit=np.ones(90, dtype=np.float32))
    result.misfit[sieved], result.score[sieved] = 0, 0
    result.score[clear], result.score[noise] = 4, -1
    groups = {one.kind: one for one in junk_groups(result, ["good", "doubtful", "junk"])}
    assert {kind: one.rows.tolist() for kind, one in groups.items()} == {
        "sieved": sieved.tolist(),
        "clear": clear.tolist(),
        "noise": noise.tolist(),
        "unused": [0],
    }
    assert groups["sieved"].shown.tolist() == sieved.tolist()
    summary = {**run_of(3), "classes": {"verdict": ["good", "doubtful", "junk"]}}
    said, missing = content(Subject(tmp_path, particles, result, summary))
    assert missing == []
    assert [(one["kind"], one["count"]) for one in said["junk"]] == [
        ("sieved", 1),
        ("clear", 3),
        ("noise", len(noise)),
        ("unused", 1),
    ]
    assert said["junk"][1]["scores"] == [4, 4, 4]
    assert all(one["strip"].startswith("data:image/jpeg;base64,/9j/") for one in said["junk"][:3])
    assert "strip" not in said["junk"][3]


def test_without_misfits_scores_tell_the_groups_and_few_of_many_are_shown() -> None:
    result = classification(1, 5000, 16)
    [group, unused] = junk_groups(replace(result, score=np.zeros_like(result.score)), ["junk"])
    assert (group.kind, len(group.rows), len(group.shown), unused.kind) == ("noise", 4999, 24, "unused")
    assert len(np.unique(group.shown)) == 24
    assert group.shown[0] == 1
    assert group.shown[-1] == 4999


def test_classes_that_are_no_junk_have_no_groups() -> None:
    result = classification(2, 50, 16)
    assert [one.kind for one in junk_groups(result, [None, "doubtful"])] == ["unused"]


def test_best_and_worst_members_are_those_of_the_scores() -> None:
    result = classification(5, 400, 16)
    chosen = examples(result)
    for number, (best, worst) in enumerate(zip(chosen.best, chosen.worst, strict=True)):
        members = np.flatnonzero(result.assignments == number)
        ranked = members[np.argsort(-result.score[members], kind="stable")]
        assert best.tolist() == ranked[: len(best)].tolist()
        assert worst.tolist() == ranked[::-1][: len(worst)].tolist()
        assert len(best) == len(worst) == 8


@pytest.mark.parametrize(("particles", "best", "worst"), [(1, 1, 0), (2, 1, 1), (3, 2, 1), (17, 8, 8)])
def test_small_classes_show_each_member_once(particles: int, best: int, worst: int) -> None:
    whole = classification(1, particles + 1, 16)
    chosen = examples(whole)
    assert (len(chosen.best[0]), len(chosen.worst[0])) == (best, worst)
    assert len(np.unique(np.concatenate(chosen.parts))) == best + worst


def test_many_classes_show_fewer_particles_of_each() -> None:
    result = classification(400, 20_000, 8)
    assert len(np.concatenate(examples(result).parts)) <= 3200


def moved_copies(folder: Path, contrast: float) -> tuple[Any, Any, np.ndarray]:
    """Copies of one lopsided image, moved, turned, and every third mirrored; with the poses that bring them back."""
    box, count = 48, 12
    y, x = np.mgrid[:box, :box] - box // 2
    spots = ((0, -9, 4.0, 1.0), (7, 4, 3.0, 0.8), (-5, 6, 2.0, 0.6))
    original = sum(a * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / w**2) for cx, cy, w, a in spots)
    rng = np.random.default_rng(1)
    poses = Poses(rng.uniform(-180, 180, count), *rng.uniform(-3, 3, (2, count)))
    copies = apply(np.repeat(original[None], count, 0).astype(np.float32), invert(poses))
    flip = np.arange(count) % 3 == 2
    mirrored = np.roll(original[:, ::-1], 1, axis=1).astype(np.float32)
    unmirrored = Poses(poses.psi_deg, np.where(flip, -1, 1) * poses.shift_x_px, poses.shift_y_px)
    copies[flip] = apply(np.repeat(mirrored[None], flip.sum(), 0), invert(unmirrored)[flip])
    particles = particle_set(folder, count, box)
    write_stack(particles.stacks[0], contrast * copies + 3.0, SAMPLING_RATE)
    return particles, SimpleNamespace(poses=poses, flip=flip), original


@pytest.mark.parametrize("inverted", [False, True])
def test_particles_are_shown_aligned_and_white(tmp_path: Path, inverted: bool) -> None:
    particles, result, original = moved_copies(tmp_path, -1.0 if inverted else 1.0)
    imaging = Imaging(SAMPLING_RATE, inverted=inverted)
    rows = np.array([7, 2, 2, 11])
    snr = np.where(np.arange(25) > 0, 100.0, 0.0)
    shown = aligned_images(particles, result, rows, snr, imaging)
    assert shown.shape == (4, 48, 48)
    for image in shown:
        assert np.corrcoef(image.ravel(), original.ravel())[0, 1] > 0.97


def test_noise_decides_how_smooth_a_particle_is_shown(tmp_path: Path) -> None:
    particles, result, _ = moved_copies(tmp_path, 1.0)
    rng = np.random.default_rng(0)
    write_stack(particles.stacks[0], rng.normal(size=(12, 48, 48)).astype(np.float32), SAMPLING_RATE)
    clear, noisy = (np.where(np.arange(25) < cut, 10.0, 1e-6) for cut in (20, 5))
    rough, smooth = (aligned_images(particles, result, np.arange(12), snr, Imaging(3.0)) for snr in (clear, noisy))
    steps = [np.abs(np.diff(images)).mean() / images.std() for images in (rough, smooth)]
    assert steps[0] > 2 * steps[1]


def test_snr_of_a_particle_follows_from_the_frc_of_its_class() -> None:
    result = classification(2, 201, 32)
    flat = Classification(**{**vars(result), "frc": np.full((2, 17), 1 / 3)})
    # FRC 1/3 between halves: the halves have SNR 1/2, the whole 1, and each of n members 1/n.
    np.testing.assert_allclose(particle_snr(flat)[5:], 2 / 200, rtol=1e-9)
    nothing = Classification(**{**vars(result), "frc": np.zeros((2, 17))})
    assert particle_snr(nothing)[1] > 0
    assert particle_snr(nothing)[0] == 0


def test_spread_counts_where_particles_lie() -> None:
    count, box = 50, 32
    # A particle whose middle lies 5 px right of the box's is brought back by a shift of -5.
    poses = Poses(np.full(count, 90.0), np.zeros(count), np.full(count, 5.0))
    lying = invert(poses)
    whole = classification(1, count + 1, box)
    result = Classification(**{**vars(whole), "assignments": np.zeros(count, int), "poses": poses})
    found = spread(result)
    assert found.angle[0, 27] == count
    row, column = np.unravel_index(found.offset[0].argmax(), (OFFSET_BINS, OFFSET_BINS))
    centre = OFFSET_BINS // 2
    assert np.sign(column - centre) == np.sign(np.round(lying.shift_x_px[0]))
    assert np.sign(row - centre) == np.sign(np.round(lying.shift_y_px[0]))
    assert found.reach_px >= 5


# --------------------------------------------------------------------------------------- the PCA of the state


def test_components_are_drawn_as_the_images_they_stand_for(tmp_path: Path) -> None:
    box, band = 32, Band.make(32, 9.0)
    images = torch.from_numpy(discs(60, box))
    basis = FourierPCA(0.6).partial_fit(as_real(band.to_vectors(images))).finalize()
    (tmp_path / "state").mkdir()
    tensors = {"components": basis.components_.contiguous(), "spectrum": basis.spectrum_}
    save_file(tensors, tmp_path / "state" / "any.safetensors")
    found = read_components(tmp_path, box)
    assert found is not None
    assert found.kept == basis.components_.shape[1]
    coefficients = torch.view_as_complex(basis.components_.T[:16].contiguous().unflatten(1, (-1, 2)))
    np.testing.assert_allclose(found.images, band.to_images(coefficients).numpy(), atol=1e-6)
    np.testing.assert_allclose((found.images**2).sum((1, 2)), 1, atol=1e-4)


def test_a_state_that_is_absent_damaged_or_of_another_box_leaves_the_pca_out(tmp_path: Path) -> None:
    assert read_components(tmp_path, 32) is None
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.safetensors").write_bytes(b"nonsense" * 10)
    assert read_components(tmp_path, 32) is None
    save_file({"components": torch.zeros(900, 2), "spectrum": torch.zeros(900)}, tmp_path / "state" / "b.safetensors")
    assert read_components(tmp_path, 16) is None
    with pytest.raises(ValueError, match="450 coefficients"):
        eigenimages(torch.zeros(900, 2), 16)


# ------------------------------------------------------------------------------------------------- when it fails


def test_without_the_stacks_the_report_says_so_and_shows_the_rest(tmp_path: Path) -> None:
    out = results(tmp_path)
    (tmp_path / "particles.mrcs").unlink()
    path, missing = report_on(out)
    assert len(missing) == 1
    assert "particles.mrcs" in missing[0]
    said = data_of(path)
    assert said["missing"] == missing
    assert len(said["classes"]) == 12
    assert "best" not in said["classes"][0]


def test_a_report_that_fails_is_a_warning_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("no report today")

    monkeypatch.setattr(content_module, "spread", fail)
    out = results(tmp_path)
    assert not (out / "report.html").exists()
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert any("no report today" in line for line in summary["warnings"])
    assert len(summary["classes"]["size"]) == 12
    assert (out / "particles.xmd").is_file()


def test_a_summary_of_almost_nothing_is_enough(tmp_path: Path) -> None:
    particles, result = particle_set(tmp_path, 20, 16), classification(2, 20, 16)
    write_results(tmp_path / "out", particles, result, None, {}, draw)
    said = data_of(tmp_path / "out" / "report.html")
    assert said["components"] is None
    assert said["overview"]["sampling_rate"] is None
    odd = {"history": 3, "times": None, "input": {"sampling_rate": "x"}}
    found, missing = content(Subject(tmp_path, particles, result, odd))
    assert missing == []
    assert found["history"] == {}


def test_folders_without_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"summary\.json"):
        report_on(tmp_path)
    (tmp_path / "summary.json").write_text('{"stream": {"batch": 0, "missing": 700, "closed": false}}')
    with pytest.raises(InputError, match="700 particles are missing"):
        report_on(tmp_path)
    (tmp_path / "summary.json").write_text("[]")
    with pytest.raises(InputError, match="no results of classify"):
        report_on(tmp_path)


def test_a_stream_makes_its_report_whenever_it_has_grown_by_a_tenth() -> None:
    so_far = list(range(1000, 100_001, 100))
    made = [count for number, count in enumerate(so_far, start=1) if report_is_due(so_far[:number])]
    assert made[0] == 1000
    assert sum(made) < 11.5 * so_far[-1]
    assert all(after <= 1.11 * before + 100 for before, after in pairwise(made))
    assert report_is_due([700])
    assert not report_is_due([100_000, 100_001])
