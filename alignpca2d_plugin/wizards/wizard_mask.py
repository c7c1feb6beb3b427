"""Draw the mask on an average of the particles instead of typing its diameter."""

import os
import tempfile

import numpy as np
from pwem import emlib
from pwem.constants import UNIT_PIXEL
from pwem.emlib.image import ImageHandler
from pwem.objects import Particle
from pwem.wizards import ParticleMaskRadiusWizard
from pyworkflow.gui.tree import ListTreeProvider

from ..constants import AUTOMATIC
from ..convert import mrc_header
from ..protocols import ProtAlignPCA2D

PARAMETER = "maskDiameter"
AVERAGED, SHOWN = 500, 20
FINEST_SHOWN_ANGSTROM = 20.0


class MaskDiameterWizard(ParticleMaskRadiusWizard):
    """Scipion's mask dialog, which works with radii in pixels, for a diameter in Å."""

    _targets = [(ProtAlignPCA2D, [PARAMETER])]

    def _getProvider(self, protocol):
        particles = protocol.inputParticles.get()
        if particles is None:
            return None
        with_average = [average_item(particles, self._folder), *self._getParticles(particles, SHOWN)]
        particles.close()
        return AverageFirst(with_average)

    def show(self, form):
        with tempfile.TemporaryDirectory(prefix="alignpca2d-") as self._folder:
            super().show(form, radius_px(form.protocol), PARAMETER, UNIT_PIXEL)

    def setVar(self, form, label, value):
        form.setVar(label, diameter_angstrom(form.protocol, value))


class AverageFirst(ListTreeProvider):
    """The items of the dialog: the average under its own name, then single particles."""

    def getText(self, obj):
        return f"average of {obj.averaged}" if hasattr(obj, "averaged") else super().getText(obj)


def average_item(particles, folder):
    """The average of the first particles, as they lie in their boxes, as an item that Scipion can show.

    Parameters
    ----------
    particles : SetOfParticles
    folder : str
        Takes the image.

    Returns
    -------
    Particle
        With the number of particles as its attribute `averaged`.
    """
    total, count, image = 0.0, 0, emlib.Image()
    for particle in particles.iterItems(limit=AVERAGED):
        image.read(ImageHandler.locationToXmipp(particle))
        data = np.squeeze(np.asarray(image.getData(), dtype=float))
        total, count = total + (data - data.mean()) / (data.std() or 1.0), count + 1
    average = low_passed(total / count, particles.getSamplingRate())
    path = os.path.join(folder, "average.mrcs")
    with open(path, "wb") as stream:
        stream.write(mrc_header(1, average.shape, particles.getSamplingRate()))
        stream.write(average.astype("<f4").tobytes())
    item = Particle(objId=0)
    item.setLocation(1, path)
    item.setSamplingRate(particles.getSamplingRate())
    item.averaged = count
    return item


def low_passed(image, sampling_rate):
    """An image without what is finer than a mask needs, so that the noise does not hide the particle."""
    rows, columns = np.fft.fftfreq(image.shape[0], sampling_rate), np.fft.rfftfreq(image.shape[1], sampling_rate)
    weight = np.exp(-((np.hypot(rows[:, None], columns) * FINEST_SHOWN_ANGSTROM) ** 2))
    return np.fft.irfft2(np.fft.rfft2(image) * weight, s=image.shape)


def radius_px(protocol):
    """The radius that the form's diameter means, in whole pixels; the dialog's -1 is the whole box."""
    diameter, particles = protocol.maskDiameter.get(), protocol.inputParticles.get()
    if diameter == AUTOMATIC or particles is None:
        return -1
    return round(diameter / 2 / particles.getSamplingRate())


def diameter_angstrom(protocol, radius):
    """The diameter for the form of a radius in pixels, to a tenth of an Å; automatic at the box's edge."""
    particles = protocol.inputParticles.get()
    if 2 * radius >= particles.getXDim() - 1:
        return AUTOMATIC
    return round(2 * radius * particles.getSamplingRate(), 1)
