"""``export``: a folder of results in the formats of other programs."""

from __future__ import annotations

from pathlib import Path

from ..choosing.junk_share import in_other_classes, junk_probability, thinned, without_misfit
from ..choosing.selection import selection_of
from ..choosing.shares import best_of_each
from ..choosing.superclasses import superclasses_of
from ..errors import InputError
from ..io.output_folder import PARTICLES
from ..results.coordinates_export import write_coordinates
from ..results.cryosparc_export import write_cryosparc
from ..results.exported import Exported, read_exported
from ..results.relion_export import write_relion
from ..results.result_files import MISFIT
from ..settings import ExportSettings

MOST_LOST, MOST_EVER_LOST = 0.03, 0.5
"""Share of the real particles whose loss to ``--max-junk`` is worth a word, and that at which it is refused."""


def export(directory: Path, settings: ExportSettings) -> tuple[list[Path], list[str]]:
    """Write what the settings ask for into a folder of results; returns the files, and warnings.

    Raises
    ------
    InputError
        When the folder holds no results, or the particles lack what is asked for.
    """
    for name in ("minimum_distance", "micrograph_sampling_rate"):
        if getattr(settings, name) is not None and not settings.coordinates:
            raise InputError(f"--{name.replace('_', '-')}: goes with --coordinates")
    exported, said = chosen(read_exported(directory, settings.good), settings)
    paths, warnings = write_relion(exported)
    warnings = [*said, *warnings]
    if settings.cs:
        more, said = write_cryosparc(exported)
        paths, warnings = [*paths, *more], [*warnings, *said]
    if settings.coordinates:
        more, said = write_coordinates(exported, settings.minimum_distance, settings.micrograph_sampling_rate)
        paths, warnings = [*paths, *more], [*warnings, *said]
    return paths, warnings


def with_little_junk(exported: Exported, most: float) -> tuple[Exported, str]:
    """The chosen particles of classes that are not junk, without the likeliest junk; and what is to be said of that.

    Raises
    ------
    InputError
        When the results lack misfits, or when half of the real particles would be lost.
    """
    option, result, path = f"--max-junk {most:g}", exported.result, exported.directory / PARTICLES
    among = in_other_classes(result, exported.verdicts)
    lacking, asked = without_misfit(result, among), exported.chosen & among
    if result.misfit is None or lacking:
        why = "as in results of earlier versions; classify again"
        raise InputError(f"{option}: {lacking:,} particles in {path} have no misfit ({MISFIT}), {why}")
    if not asked.any():
        raise InputError(f"{option}: no particle is chosen that is outside of junk classes")
    probability = junk_probability(result.misfit, result.score, among)
    found = thinned(probability, asked, most)
    if found.lost > MOST_EVER_LOST:
        raise InputError(
            f"{option}: cannot be given: an estimated {found.lost:.0%} of the real particles would be left out, so "
            "nothing is written; ask for a larger share, or choose classes with --good or --select"
        )
    line = (
        f"{option}: {int(found.kept.sum()):,} of {int(asked.sum()):,} particles are kept; of them an estimated "
        f"{found.share:.1%} are junk, {found.most:.1%} at most in 19 of 20 sets, and {found.lost:.1%} of the real ones "
        "are left out"
    )
    if found.most_lost > MOST_LOST:
        more = f"{'' if found.lost > MOST_LOST else 'perhaps '}more than {MOST_LOST:.0%}"
        line += f", {more}: junk is not told from particles well enough here to lose fewer"
    return exported.only(found.kept), line


def chosen(exported: Exported, settings: ExportSettings) -> tuple[Exported, list[str]]:
    """The particles that the settings ask for, by class, then by their number; and what is to be said of that."""
    said: list[str] = []
    if settings.select is not None:
        exported = exported.of_classes(selection_of(settings.select, exported.verdicts).mask(len(exported.result)))
    if settings.max_junk is not None:
        exported, line = with_little_junk(exported, settings.max_junk)
        said.append(line)
    result, before = exported.result, int(exported.chosen.sum())
    if settings.cap is not None:
        exported = exported.only(best_of_each(result.assignments, result.score, settings.cap, exported.chosen))
        said.append(f"--cap {settings.cap}: {int(exported.chosen.sum()):,} of {before:,} particles are kept")
    if settings.balance is not None:
        before = int(exported.chosen.sum())
        found = superclasses_of(result, settings.mirror)
        group = found.label[result.assignments]
        exported = exported.only(best_of_each(group, result.score, settings.balance, exported.chosen))
        views = len(set(group[exported.chosen].tolist()))
        kept = f"{int(exported.chosen.sum()):,} of {before:,} particles of {views} superclasses are kept"
        said.append(f"--balance {settings.balance}: {kept}")
    return exported, said
