"""Propose a resolution limit from the pixel size."""

import math

from pwem.wizards import EmWizard
from pyworkflow.gui import dialog

from ..protocols import ProtAlignPCA2D

PARAMETER = "resolution"
USUAL_ANGSTROM = 8.0
ABOVE_NYQUIST = 1.1
"""The last rings before Nyquist hold little but noise and what interpolation has left."""
STEP_ANGSTROM = 0.5


class ResolutionWizard(EmWizard):
    """8 Å where the pixels allow it, otherwise what they allow."""

    _targets = [(ProtAlignPCA2D, [PARAMETER])]

    def show(self, form):
        particles = form.protocol.inputParticles.get()
        if particles is None:
            dialog.showWarning("Empty input", "Choose the input particles first", form.root)
            return
        sampling_rate = particles.getSamplingRate()
        proposed = proposal(sampling_rate)
        form.setVar(PARAMETER, proposed)
        dialog.showInfo("Resolution limit", explanation(sampling_rate, proposed), form.root)


def proposal(sampling_rate):
    """The resolution limit in Å for a pixel size in Å, on a scale of half an Å."""
    finest = 2 * ABOVE_NYQUIST * sampling_rate
    return max(USUAL_ANGSTROM, math.ceil(finest / STEP_ANGSTROM - 1e-6) * STEP_ANGSTROM)


def explanation(sampling_rate, proposed):
    """Why this one."""
    begin = f"The particles have {sampling_rate:.2f} Å/px and end at {2 * sampling_rate:.2f} Å (Nyquist).\n\n"
    if proposed > USUAL_ANGSTROM:
        return begin + f"{proposed:g} Å is set: slightly coarser than that, as the last rings hold little but noise."
    return begin + (
        f"{proposed:g} Å is set, which suits most particles. A coarser limit, such as 12 Å, is faster and more robust "
        "for very noisy or very small ones."
    )
