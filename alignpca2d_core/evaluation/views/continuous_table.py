"""The figures of :mod:`.continuous_views` as text."""

from __future__ import annotations

from typing import Any

LABELS = {
    "well_placed": ("well placed, of all real particles", "{:.3f}"),
    "view_within_15": ("  view within 15°", "{:.3f}"),
    "plane_within_10": ("  in the plane within 10°", "{:.3f}"),
    "median_view_deg": ("median distance from the class's view (°)", "{:.1f}"),
    "median_plane_deg": ("  in the plane (°)", "{:.1f}"),
    "median_shift_percent": ("  from its centre (% of the box)", "{:.2f}"),
    "well_placed_neighbour": ("well placed, of those with a neighbour", "{:.3f}"),
    "well_placed_offcentre": ("well placed, of those far off centre", "{:.3f}"),
    "real_discarded": ("real particles thrown away", "{:.3f}"),
    "real_in_good": ("real particles in good classes", "{:.3f}"),
    "good_purity": ("real among members of good classes", "{:.3f}"),
    "junk_precision": ("junk precision", "{:.3f}"),
    "junk_recall": ("junk recall", "{:.3f}"),
    "junk_called_good": ("junk called good", "{:.3f}"),
    "calibration_error": ("calibration error of pMax", "{:.3f}"),
    "calibration_error_within_15": ("  with views within 15° for right", "{:.3f}"),
    "useful_classes": ("useful classes", "{:.0f}"),
    "good_classes": ("classes called good", "{:.0f}"),
    "useful_of_good": ("  useful, of those", "{:.3f}"),
    "coverage_15": ("views within 15° of a useful class", "{:.3f}"),
    "resolution_of_members": ("FRC 0.5 with the members' true views (Å)", "{:.1f}"),
    "resolution_of_view": ("FRC 0.5 with the class's true view (Å)", "{:.1f}"),
    "resolution_stated": ("resolution that is stated (Å)", "{:.1f}"),
    "stated_over_true": ("  over the members' true one", "{:.3f}"),
    "stated_within_15_percent": ("  classes within 15 % of it", "{:.3f}"),
}


def continuous_lines(result: dict[str, Any]) -> list[str]:
    """Figures, junk by kind, and classes."""
    lines = ["{used} of {particles} particles in {classes} classes; continuous views".format(**result), ""]
    for name, value in result["figures"].items():
        label, form = LABELS[name]
        lines.append(f"{label:44s} {form.format(value):>9s}")
    if result["junk"]:
        lines += ["", f"{'kind of junk':14s} {'boxes':>6s} {'called junk':>12s} {'called good':>12s}"]
    for row in result["junk"]:
        lines.append(f"{row['kind']:14s} {row['boxes']:6d} {row['called_junk']:12.3f} {row['called_good']:12.3f}")
    heads = ("class", "particles", "real", "spread °", "well", "members Å", "view Å", "stated Å", "verdict")
    lines += ["", "{:>6s} {:>10s} {:>6s} {:>9s} {:>6s} {:>10s} {:>7s} {:>9s}  {}".format(*heads)]
    for row in result["table"]:
        stated = f"{row['resolution_stated']:9.1f}" if row["resolution_stated"] else f"{'-':>9s}"
        useful = ", useful" if row["useful"] else ""
        lines.append(
            f"{row['class']:6d} {row['particles']:10d} {row['real']:6.3f} {row['view_spread_deg']:9.1f} "
            f"{row['well_placed']:6.3f} {row['resolution_of_members']:10.1f} {row['resolution_of_view']:7.1f} "
            f"{stated}  {row['verdict']}{useful}"
        )
    return lines
