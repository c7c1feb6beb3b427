"""The figures of :mod:`.evaluate` as text."""

from __future__ import annotations

from typing import Any

from .views.continuous_table import continuous_lines

LABELS = {
    "purity": ("purity", "{:.3f}"),
    "ari": ("adjusted Rand index", "{:.3f}"),
    "nmi": ("normalised mutual information", "{:.3f}"),
    "views_covered": ("views covered", "{:.1f}"),
    "junk_precision": ("junk precision", "{:.3f}"),
    "junk_recall": ("junk recall", "{:.3f}"),
    "pose_within": ("pose within tolerance, of all", "{:.3f}"),
    "median_angle_deg": ("median angle error (degrees)", "{:.2f}"),
    "median_shift_px": ("median shift error (px)", "{:.2f}"),
    "pose_within_modulo_symmetry": ("  within, modulo the view's symmetry", "{:.3f}"),
    "median_angle_deg_modulo_symmetry": ("  median angle error, the same", "{:.2f}"),
    "median_shift_px_modulo_symmetry": ("  median shift error, the same", "{:.2f}"),
    "average_correlation": ("correlation with the true view", "{:.3f}"),
    "worst_average_correlation": ("  of the worst class", "{:.3f}"),
    "average_frc_resolution_angstrom": ("FRC 0.5 with the true view (Å)", "{:.1f}"),
    "purity_of_conformations": ("purity, view and conformation", "{:.3f}"),
    "ari_of_conformations": ("ARI, view and conformation", "{:.3f}"),
    "shared_share": ("in matched classes, of the common", "{:.3f}"),
}


def _figures(result: dict[str, Any]) -> list[str]:
    lines = [f"{'':38s} {'value':>9s} {'chance':>9s}"]
    for name, value in result["figures"].items():
        label, form = LABELS[name]
        chance = form.format(result["chance"][name]) if name in result["chance"] else "-"
        lines.append(f"{label:38s} {form.format(value):>9s} {chance:>9s}")
    return lines


def _truth_lines(result: dict[str, Any]) -> list[str]:
    head = "{used} of {particles} particles in {classes} classes; {views} true views"
    lines = [head.format(**result), "", *_figures(result), ""]
    lines.append(f"{'class':>6s} {'particles':>10s} {'view':>5s} {'purity':>7s} {'corr.':>6s} {'FRC 0.5':>8s}")
    for row in result["table"]:
        view = "junk" if row["view"] < 0 else str(row["view"])
        line = f"{row['class']:6d} {row['particles']:10d} {view:>5s} {row['purity']:7.3f}"
        if "correlation" in row:
            line += f" {row['correlation']:6.3f} {row['resolution_angstrom']:6.1f} Å"
        lines.append(line)
    return lines


def _against_lines(result: dict[str, Any]) -> list[str]:
    first, second = result["retained"]
    lines = [
        f"particles retained: {first} and {second}; common: {result['common']} ({100 * result['common_share']:.1f} %)",
        "",
        *_figures(result),
        "",
        f"{'class':>6s} {'particles':>10s} {'other class':>12s} {'particles':>10s} {'in common':>10s}",
    ]
    for row in result["table"]:
        line = "{class:6d} {particles:10d} {other_class:12d} {other_particles:10d} {in_common:10d}"
        lines.append(line.format(**row))
    return lines


def format_table(result: dict[str, Any]) -> str:
    """What :func:`.evaluate.evaluate` found, for reading: every figure with its chance level, then the classes."""
    lines: list[str] = []
    if "truth" in result:
        discrete = "views" in result["truth"]
        lines += _truth_lines(result["truth"]) if discrete else continuous_lines(result["truth"])
    if "against" in result:
        lines += ([""] if lines else []) + _against_lines(result["against"])
    return "\n".join(lines)
