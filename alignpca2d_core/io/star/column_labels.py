"""Labels of the columns that mean the same in Xmipp's and in RELION's metadata."""

from __future__ import annotations

IMAGE = ("image", "rlnImageName", "rlnReferenceImage")
IDENTIFIER = ("itemId", "rlnImageId")
SAMPLING_RATE = ("samplingRate", "rlnImagePixelSize", "rlnPixelSize")

CTF = {
    "defocus_u": ("ctfDefocusU", "rlnDefocusU", "CTF_Defocus_U"),
    "defocus_v": ("ctfDefocusV", "rlnDefocusV", "CTF_Defocus_V"),
    "defocus_angle": ("ctfDefocusAngle", "rlnDefocusAngle", "CTF_Defocus_angle"),
    "voltage": ("ctfVoltage", "rlnVoltage", "CTF_Voltage"),
    "spherical_aberration": ("ctfSphericalAberration", "rlnSphericalAberration", "CTF_Spherical_aberration"),
    "amplitude_contrast": ("ctfQ0", "rlnAmplitudeContrast", "CTF_Q0"),
    "phase_shift": ("ctfVPPphaseshift", "rlnPhaseShift"),
}
"""Fields of :class:`~alignpca2d_core.fourier.ctf.CtfParameters`: Xmipp's label, RELION's, Xmipp's old one.

All are in the units of ``CtfParameters``.  ``ctfVPPphaseshift`` is in degrees there as well, since Scipion writes
its own phase shift, which has that unit, under this label.
"""

CTF_FLAGS = {
    "phase_flipped": ("ctfPhaseFlipped", "rlnCtfDataArePhaseFlipped"),
    "premultiplied": ("rlnCtfDataAreCtfPremultiplied",),
}
"""What was done to the images, 0 or 1, for a particle or its optics group; Xmipp has RELION's label for the second."""

XMIPP_OF_RELION = {
    "rlnMicrographName": "micrograph",
    "rlnCoordinateX": "xcoor",
    "rlnCoordinateY": "ycoor",
}
"""What else of a RELION table has an Xmipp label; image, identifier and CTF are written from ParticleSet."""

SIGN = "blobSign"
"""What cryoSPARC multiplies images with, -1 where particles are dark; ours alone."""
