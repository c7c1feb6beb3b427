"""Draw the mask on the particles instead of typing its diameter."""

from pwem.constants import UNIT_PIXEL
from pwem.wizards import ParticleMaskRadiusWizard

from ..constants import AUTOMATIC
from ..protocols import ProtAlignPCA2D

PARAMETER = "maskDiameter"


class MaskDiameterWizard(ParticleMaskRadiusWizard):
    """Scipion's mask dialog, which works with radii in pixels, for a diameter in Å."""

    _targets = [(ProtAlignPCA2D, [PARAMETER])]

    def _getProvider(self, protocol):
        return self._getListProvider(protocol.inputParticles)

    def show(self, form):
        super().show(form, radius_px(form.protocol), PARAMETER, UNIT_PIXEL)

    def setVar(self, form, label, value):
        form.setVar(label, diameter_angstrom(form.protocol, value))


def radius_px(protocol):
    """The radius that the form's diameter means, in whole pixels; the dialog's -1 is the whole box."""
    diameter, particles = protocol.maskDiameter.get(), protocol.inputParticles.get()
    if diameter == AUTOMATIC or particles is None:
        return -1
    return round(diameter / 2 / particles.getSamplingRate())


def diameter_angstrom(protocol, radius):
    """The diameter for the form of a radius in pixels, to a tenth of an Å."""
    return round(2 * radius * protocol.inputParticles.get().getSamplingRate(), 1)
