"""What the protocol says of itself in Scipion's Summary and Methods tabs."""

from ..constants import MODE_UPDATE, PRESETS, VERDICTS
from . import checks, session
from .wording import in_terms_of_the_form


def summary(protocol, results, progress, now):
    """Lines for the Summary tab.

    Parameters
    ----------
    protocol : ProtAlignPCA2D
    results : dict
        The core's summary.json, empty before there is one.
    progress : dict
        What is known of a growing input: `found`, `initial` and `missing` particles; empty for one that is complete.
    now : str
        The last line that the core has written.
    """
    lines = []
    classes = getattr(protocol, "outputClasses", None)
    if classes is None:
        lines.append("No classes yet.")
        lines += _missing_line(progress)
    else:
        resolutions, sizes = figures(protocol.outputAverages)
        so_far = " so far" if protocol.isActive() and progress else ""
        lines.append(f"*{sum(sizes)}* particles in *{len(sizes)}* classes{so_far}.")
        lines.append(f"Resolution of the classes: best *{min(resolutions):.1f} Å*, {median(resolutions):.1f} Å median.")
        lines += _verdict_line(results)
        waiting = progress.get("found", 0) - sum(sizes)
        if so_far and waiting > 0:
            lines.append(f"{waiting} more have come and wait for their turn.")
        lines.append(f"Time: {duration(protocol.getElapsedTime().total_seconds())}.")
    falling = session.alert(session.moments(results))
    lines += [f"*{falling}*"] if falling else []
    if protocol.isActive() and now:
        lines.append(f"Now: {now}")
    return lines + [f"Note: {in_terms_of_the_form(warning, protocol)}" for warning in results.get("warnings", [])]


def progress_lines(results, progress):
    """How a stream goes, from the core's summary.json and what is known of the input."""
    sizes, resolutions = (results.get("classes", {}).get(name) or [] for name in ("size", "resolution_angstrom"))
    if not sizes:
        return ["No classes yet.", *_missing_line(progress)]
    lines = [f"*{sum(sizes)}* particles in *{len(sizes)}* classes."]
    if resolutions:
        lines[0] += f" Resolution: best *{min(resolutions):.1f} Å*, {median(resolutions):.1f} Å median."
    lines += _verdict_line(results)
    stream = results.get("stream", {})
    waiting = progress.get("found", 0) - stream.get("particles", 0)
    if stream.get("closed"):
        lines.append("The input is complete.")
    elif waiting > 0:
        lines.append(f"{waiting} more have come and wait for their turn.")
    return lines


def _missing_line(progress):
    if not progress:
        return []
    if not progress["missing"]:
        return [f"*{progress['found']}* particles have come: the first classes are being made."]
    return [
        f"*{progress['found']}* of the {progress['initial']} particles that start the classes have come: "
        f"*{progress['missing']}* are missing."
    ]


def _verdict_line(results):
    verdicts = results.get("classes", {}).get("verdict") or []
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in verdicts]
    return [f"Verdicts: {', '.join(counts)}."] if counts else []


def methods(protocol):
    """A paragraph that could go into a paper."""
    classes = getattr(protocol, "outputClasses", None)
    if classes is None:
        return []
    particles = protocol.inputParticles.get()
    size, sampling = particles.getXDim(), particles.getSamplingRate()
    _, sizes = figures(protocol.outputAverages)
    text = (
        f"{sum(sizes)} particles ({size} px, {sampling:.2f} Å/px) were classified into {classes.getSize()} "
        "two-dimensional classes with AlignPCA-2D [RamirezAportela2026]"
    )
    if protocol.mode.get() == MODE_UPDATE:
        text += ", starting from given class averages"
    resolution = max(protocol.resolution.get(), 2 * sampling)
    text += (
        f", using Fourier components to {resolution:.1f} Å and the principal components that explain "
        f"{100 * protocol.variance.get():.0f} % of their variance"
    )
    text += ", and correcting for the CTF." if checks.uses_ctf(protocol) else ", without CTF correction."
    preset = PRESETS[protocol.preset.get()]
    if preset != PRESETS[0]:
        text += " The search and the updates were those of the publication."
    return [text]


def figures(averages):
    """Resolutions (Å) and sizes of the classes, from the set of their averages."""
    rows = [(a._alignpca2d_resolution.get(), a._alignpca2d_size.get()) for a in averages.iterItems()]
    averages.close()  # the windows ask for the summary again and again, while a restart wants to replace the file
    return zip(*rows)


def median(values):
    """The median of a list of numbers."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def duration(seconds):
    """For instance `12 s`, `3 min 20 s`, `1 h 05 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
