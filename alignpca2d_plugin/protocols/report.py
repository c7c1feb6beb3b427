"""What the protocol says of itself in Scipion's Summary and Methods tabs."""

from ..constants import MODE_UPDATE, PRESETS
from . import checks


def summary(protocol, results, progress):
    """Lines for the Summary tab.

    Parameters
    ----------
    protocol : ProtAlignPCA2D
    results : dict
        The core's summary.json, empty before there is one.
    progress : str
        The last line that the core has written.
    """
    lines = []
    classes = getattr(protocol, "outputClasses", None)
    if classes is None:
        lines.append("No classes yet.")
    else:
        resolutions, sizes = figures(protocol.outputAverages)
        lines.append(f"*{sum(sizes)}* particles in *{len(sizes)}* classes.")
        lines.append(f"Resolution of the classes: best *{min(resolutions):.1f} Å*, {median(resolutions):.1f} Å median.")
        lines.append(f"Time: {duration(protocol.getElapsedTime().total_seconds())}.")
    if protocol.isActive() and progress:
        lines.append(f"Now: {progress}")
    return lines + [f"Note: {warning}" for warning in results.get("warnings", [])]


def methods(protocol):
    """A paragraph that could go into a paper."""
    classes = getattr(protocol, "outputClasses", None)
    if classes is None:
        return []
    particles = protocol.inputParticles.get()
    size, sampling = particles.getXDim(), particles.getSamplingRate()
    text = (
        f"{particles.getSize()} particles ({size} px, {sampling:.2f} Å/px) were classified into {classes.getSize()} "
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
