"""What a file is that was given in place of a STAR file or an MRC stack, and what to do about it."""

from __future__ import annotations

from pathlib import Path

START_BYTES = 1024
MOST_NAMED = 3
"""Files of a folder that a message names."""
METADATA_SUFFIXES = (".xmd", ".star")
CONVERT = "convert the images to a .mrcs stack (EMAN2: e2proc2d.py, Xmipp: xmipp_image_convert)"

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "is a cryoSPARC dataset, which is read when its name ends in .cs"),
    (b"\x1f\x8b", "is compressed with gzip; decompress it first (gunzip)"),
    (b"BZh", "is compressed with bzip2; decompress it first (bunzip2)"),
    (b"\xfd7zXZ\0", "is compressed with xz; decompress it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; decompress it first (unzstd)"),
    (b"PK\x03\x04", "is a zip archive; unpack it first (unzip)"),
    (b"\x89HDF\r\n\x1a\n", f"is an HDF5 file; {CONVERT}"),
    (b"SQLite format 3\0", "is a Scipion set (.sqlite); run the protocol in Scipion, or export the set as .star there"),
    (b"II*\0", f"is a TIFF image; {CONVERT}"),
    (b"MM\0*", f"is a TIFF image; {CONVERT}"),
    (b"\x89PNG", "is a PNG picture"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself; fetch that with git lfs pull"),
    (b"<?xml", "is an XML file"),
    (b"<!DOCTYPE html", "is a web page: a download that failed"),
)
_SUFFIXES = {
    ".cs": _SIGNATURES[0][1],
    ".hdf": f"is an HDF5 file; {CONVERT}",
    ".spi": f"is a SPIDER file; {CONVERT}",
    ".stk": f"is a SPIDER stack; {CONVERT}",
    ".hed": f"is an IMAGIC file; {CONVERT}",
    ".img": f"is an IMAGIC file; {CONVERT}",
    ".csv": "is a CSV table; .star, .xmd and MRC stacks are read",
    ".json": "is a JSON file; .star, .xmd and MRC stacks are read",
}


def other_kind(path: Path, start: bytes) -> str | None:
    """What a file is and the remedy, by its first bytes or else its suffix; None where neither says.

    Parameters
    ----------
    path : Path
    start : bytes
        The first :data:`START_BYTES` of the file, or all of it.
    """
    for signature, said in _SIGNATURES:
        if start.startswith(signature):
            return said
    return _SUFFIXES.get(path.suffix.lower())


def is_folder(path: Path) -> str:
    """What is said where a folder was given: the metadata files that lie in it."""
    try:
        inside = sorted(one.name for one in path.iterdir() if one.suffix.lower() in METADATA_SUFFIXES)
    except OSError:
        inside = []
    if not inside:
        return "is a folder; give the file that lists its particles (.star or .xmd)"
    more = f" or another of {len(inside)}" if len(inside) > MOST_NAMED else ""
    return f"is a folder; give the file that lists its particles: {' or '.join(inside[:MOST_NAMED])}{more}"
