# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether a file ends as its kind does, told without unpacking it: a copy that was cut off most often does not."""

from __future__ import annotations

import math
import os

from monai_al.data.nifti import stored_bytes
from monai_al.data.nrrd import TYPE_BYTES, nrrd_fields

__all__ = ["may_be_cut_off"]

_ENDS = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9"}
_LENGTH = 4  # bytes at the end of a gzip file, which hold the unpacked length modulo 2**32


def may_be_cut_off(path: str | os.PathLike) -> bool:
    """Whether the last bytes of a file are other ones than its kind and its header want.

    They tell of NIfTI and NRRD that are packed by gzip, of PNG and of JPEG; of others their headers and sizes mostly
    do. False says that nothing speaks for it, not that the voxels are right; whole files of unusual writers may give
    True, too, so that only reading decides.

    Args:
        path: a file whose header can be read.

    Example:
        >>> import nibabel, numpy, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = f"{folder}/a.nii.gz"
        ...     values = numpy.arange(16384, dtype=numpy.int16).reshape(32, 32, 16)
        ...     nibabel.save(nibabel.Nifti1Image(values, numpy.eye(4)), name)
        ...     before = may_be_cut_off(name)
        ...     os.truncate(name, os.path.getsize(name) - 10)
        ...     before, may_be_cut_off(name)
        (False, True)
    """
    name = os.fspath(path)
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _ENDS:
        return not _last(name, 64).rstrip(b"\0").endswith(_ENDS[suffix])
    unpacked = stored_bytes(name) if name.lower().endswith(".nii.gz") else _of_nrrd(name) if suffix == ".nrrd" else None
    return unpacked is not None and int.from_bytes(_last(name, _LENGTH), "little") != unpacked % (1 << 32)


def _of_nrrd(name: str) -> int | None:
    """The unpacked length of what gzip packed in a NRRD file; None where it is packed otherwise or lies elsewhere."""
    fields = nrrd_fields(name)
    each = TYPE_BYTES.get("".join(fields.get("type", "").lower().split()))
    if fields.get("encoding", "").lower() not in ("gz", "gzip") or "datafile" in fields or each is None:
        return None
    return each * math.prod(int(size) for size in fields.get("sizes", "0").split())


def _last(name: str, length: int) -> bytes:
    with open(name, "rb") as file:
        file.seek(max(0, os.path.getsize(name) - length))
        return file.read()
