"""Scipion's particles and averages → files that the core reads."""

import os
import re

import numpy as np
from pwem import emlib
from pwem.constants import NO_INDEX
from pwem.emlib.image import ImageHandler

from .constants import (
    CTF_LABELS,
    FLIP_LABEL,
    ID_LABEL,
    IMAGE_LABEL,
    PREMULTIPLIED_LABEL,
    PSI_LABEL,
    SAMPLING_LABEL,
    SHIFT_X_LABEL,
    SHIFT_Y_LABEL,
)
from .optics_groups import group_of, premultiplied_groups

CORE_FORMATS = (".mrcs", ".mrc")
IDS_AT_ONCE = 1000
POSE_LABELS = (PSI_LABEL, SHIFT_X_LABEL, SHIFT_Y_LABEL, FLIP_LABEL)
PSI_PRIOR = "_rlnAnglePsiPrior"
"""Where scipion-em-relion keeps RELION's prior of a filament's in-plane angle."""


def write_particles(particles, path, with_ctf, ids=None, pose_of=None):
    """Write the enabled particles of a set as Xmipp metadata.

    Parameters
    ----------
    particles : SetOfParticles
        Read in the order of its ids, which need not be consecutive.
    path : str
        The metadata file.  Images in formats that the core cannot read are copied to a stack beside it.
    with_ctf : bool
        Write each particle's defocus and microscope.
    ids : iterable of int, optional
        Only these particles, which takes no longer when the set has many others.
    pose_of : callable, optional
        What to write of each particle's pose: :func:`whole_pose` or :func:`angle_along`.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    ValueError
        When an image cannot be read or its name not be written, or when a particle has no CTF or no pose although
        it was asked for.
    """
    multiplied = premultiplied_groups(particles.getAcquisition()) if with_ctf else set()
    labels = (ID_LABEL, IMAGE_LABEL, SAMPLING_LABEL) + (CTF_LABELS if with_ctf else ())
    labels += (PREMULTIPLIED_LABEL,) if multiplied else ()
    labels += POSE_LABELS if pose_of else ()
    temporary = path + ".tmp"
    count = 0
    with open(temporary, "w", encoding="utf-8") as stream, StackWriter(stack_beside(path)) as copies:
        stream.write("# XMIPP_STAR_1 *\n#\ndata_particles\nloop_\n")
        stream.writelines(f" _{label}\n" for label in labels)
        for particle in particles.iterItems() if ids is None else items_by_id(particles, ids):
            if not particle.isEnabled():
                continue
            index, filename = readable_location(particle, copies)
            row = [str(particle.getObjId()), quoted(f"{index:06d}@{filename}"), f"{particle.getSamplingRate():.6f}"]
            if with_ctf:
                if not has_complete_ctf(particle):
                    raise ValueError(told_of_missing_ctf(particles, particle))
                row += ctf_values(particle)
            if multiplied:
                row.append(str(int(group_of(particle) in multiplied)))
            row += pose_values(particle, pose_of) if pose_of else []
            stream.write(" ".join(row) + "\n")
            count += 1
    os.replace(temporary, path)
    return count


def items_by_id(items, ids):
    """Iterate over the items of a set that have these ids, in the order of the ids, without reading the others."""
    wanted = sorted(ids)
    for first in range(0, len(wanted), IDS_AT_ONCE):
        chunk = ",".join(map(str, wanted[first : first + IDS_AT_ONCE]))
        yield from items.iterItems(where=f"id IN ({chunk})")


def write_averages(images, path):
    """Write the images of an iterable of Image into one MRC stack, in their order, or no file; return how many."""
    temporary = path + ".tmp"
    with StackWriter(temporary) as stack:
        for image in images:
            stack.append(image)
    if len(stack):
        os.replace(temporary, path)
    return len(stack)


def stack_beside(path):
    """The stack that takes the images which had to be converted for the metadata in `path`."""
    return os.path.splitext(path)[0] + ".mrcs"


def readable_location(image, copies):
    """Where the core finds an image: (1-based index, file name).  In a foreign format it is added to `copies`."""
    index, filename = image.getLocation()
    if filename.lower().endswith(CORE_FORMATS):
        return max(index, 1), filename
    copies.append(image)
    return len(copies), copies.path


def microscope_of(particle):
    """Voltage in kV, spherical aberration in mm and amplitude contrast; None for what is not known."""
    acquisition = particle.getAcquisition()
    return acquisition.getVoltage(), acquisition.getSphericalAberration(), acquisition.getAmplitudeContrast()


def has_complete_ctf(particle):
    """Whether all of CTF_LABELS is known of a particle."""
    ctf = particle.getCTF()
    return ctf is not None and None not in (*microscope_of(particle), *ctf.getDefocus())


def told_of_missing_ctf(particles, first):
    """How many particles of a set have no complete CTF, which is the first, and what can be done."""
    count = sum(1 for particle in particles.iterItems() if particle.isEnabled() and not has_complete_ctf(particle))
    others = f", nor have {count - 1} others of {particles.getSize()}" if count > 1 else ""
    return (
        f"Particle {first.getObjId()} has no complete CTF (defocus, voltage, Cs, Q0){others}. "
        "Estimate it, take these particles out of the set, or do not correct the CTF."
    )


def ctf_values(particle):
    """The values of CTF_LABELS as text: kV, mm, a fraction, Å, Å, degrees, degrees."""
    ctf = particle.getCTF()
    return [f"{value:.6f}" for value in (*microscope_of(particle), *ctf.getDefocus(), ctf.getPhaseShift() or 0.0)]


def whole_pose(particle):
    """The values of POSE_LABELS as text; None where the particle has no transform in the plane.

    x' = A·x + t with A = F·[[cos ψ, sin ψ], [−sin ψ, cos ψ]], where F mirrors x, or not.
    """
    transform = particle.getTransform() if particle.hasTransform() else None
    if transform is None:
        return None
    matrix = np.array(transform.getMatrix())
    turn, flip = matrix[:2, :2].copy(), np.linalg.det(matrix[:2, :2]) < 0
    if flip:
        turn[0] *= -1
    psi = np.rad2deg(np.arctan2(turn[0, 1] - turn[1, 0], turn[0, 0] + turn[1, 1]))
    return [f"{psi:.6f}", f"{matrix[0, 3]:.6f}", f"{matrix[1, 3]:.6f}", str(int(flip))]


def angle_along(particle):
    """The same of a rotation that lays a filament along x; None where nothing is known of it."""
    prior = getattr(particle, PSI_PRIOR, None)
    if prior is not None and prior.get() is not None:
        return [f"{-prior.get():.6f}", "0", "0", "0"]
    pose = whole_pose(particle)
    return None if pose is None else [pose[0], "0", "0", "0"]


def pose_values(particle, pose_of):
    """The values of POSE_LABELS as text."""
    found = pose_of(particle)
    if found is None:
        raise ValueError(
            f"Particle {particle.getObjId()} has no alignment in the plane. Leave it out, or do not use the alignment."
        )
    return found


def quoted(name):
    """`name` as one word of a metadata file; ValueError when there is no way to write it."""
    if name.splitlines() != [name]:
        raise ValueError(f"{name!r}: metadata cannot hold a name with a line break; rename the file")
    if not any(c.isspace() or c in "'\"" for c in name):
        return name
    absent = [mark for mark in "'\"" if mark not in name]
    harmless = [mark for mark in "'\"" if not re.search(mark + r"(\s|$)", name)]
    if not absent + harmless:
        raise ValueError(f"{name!r}: metadata cannot hold a name with both quotation marks before a space; rename it")
    mark = (absent + harmless)[0]
    return f"{mark}{name}{mark}"


class StackWriter:
    """A new MRC stack of images that are read through Scipion, which knows more formats than the core.

    A context manager; no file is made when no image was added.
    """

    def __init__(self, path):
        self.path = path
        self._count = 0
        self._shape = None
        self._sampling_rate = 1.0
        self._stream = None
        self._reader = emlib.Image()

    def __len__(self):
        return self._count

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._stream is not None:
            self._stream.seek(0)
            self._stream.write(mrc_header(self._count, self._shape, self._sampling_rate))
            self._stream.close()

    def append(self, image):
        """Copy an image (pwem's Image) to the end of the stack."""
        data = self._read(*image.getLocation())
        if self._stream is None:
            self._shape = data.shape
            self._sampling_rate = image.getSamplingRate() or 1.0
            self._stream = open(self.path, "wb")  # noqa: SIM115 - closed by __exit__
            self._stream.write(bytes(1024))
        elif data.shape != self._shape:
            raise ValueError(f"{image.getFileName()}: {data.shape} pixels, the images before it have {self._shape}")
        self._stream.write(data.tobytes())
        self._count += 1

    def _read(self, index, filename):
        location = filename if index == NO_INDEX else ImageHandler.locationToXmipp((index, filename))
        try:
            self._reader.read(location)
        except Exception as error:
            raise ValueError(f"{location}: cannot be read ({str(error).strip()})") from error
        return np.squeeze(np.asarray(self._reader.getData(), dtype="<f4"))


def mrc_header(count, shape, sampling_rate):
    """The 1024 bytes before a stack of `count` float32 images of `shape` (rows, columns); Å/px.  MRC2014."""
    rows, columns = shape
    header = np.zeros(256, "<i4")
    reals = header.view("<f4")
    header[[0, 1, 2]] = header[[7, 8, 9]] = columns, rows, count
    header[3] = 2
    reals[10:13] = columns * sampling_rate, rows * sampling_rate, count * sampling_rate
    reals[13:16] = 90.0
    header[16:19] = 1, 2, 3
    reals[[19, 20, 21, 54]] = 0.0, -1.0, -2.0, -1.0  # density statistics not determined
    header[27] = 20140
    header[52:54] = np.frombuffer(b"MAP \x44\x44\x00\x00", "<i4")
    return header.tobytes()
