# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Image files by Pillow: turned as their EXIF says, in the depth that they are stored in, without transparency."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from monai_al.data.itk_images import itk_values
from monai_al.data.palettes import palette_values
from monai_al.data.stored_grid import StoredGrid
from monai_al.data.voxel_bytes import DEFLATED_AT_MOST, check_room
from monai_al.records.errors import DataError

__all__ = ["PICTURE_SUFFIXES", "has_palette", "picture_image", "picture_label", "picture_shape"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
ORIENTATION = 0x0112  # of EXIF, and of TIFF; 5 to 8 exchange rows and columns
BITS, COMPRESSION, SAMPLE_FORMAT = 258, 259, 339  # of TIFF
UNPACKED_AT_MOST = {1: 1, 5: 1400, 8: DEFLATED_AT_MOST, 32946: DEFLATED_AT_MOST, 32773: 64}  # by TIFF's compression
TYPES_BEHIND = {(2, 8): np.int8, (1, 32): np.uint32}  # sample format and bits that Pillow takes for another type
IN_COLOURS = {"P": "RGB", "PA": "RGB", "RGBA": "RGB", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LA": "L"}
GREY_WITH_ALPHA = 4  # PNG's kind of colours
GREY = ("I", "F")  # modes of more than 8 bits
LATE = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # PNG's chunks that may turn the picture, if they follow it


def picture_shape(path: str) -> tuple[int, ...]:
    """Rows and columns of the picture as it is shown, and pages where a TIFF has several; from the header.

    Raises:
        DataError: it is an animation, or the file cannot hold as many pixels.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (5, 4)).save(folder + "/a.png")
        ...     picture_shape(folder + "/a.png")
        (4, 5)
    """
    with _opened(path) as picture:
        turned = picture.format != "TIFF" and _orientation(picture, path) > 4  # Pillow gives the size of a TIFF turned
        pages = _pages(picture)
        shape = (picture.width, picture.height) if turned else (picture.height, picture.width)
        return shape + ((pages,) if pages > 1 else ())


def picture_image(path: str) -> StoredGrid:
    """Grey values or colours as float32; those of a palette are its colours.

    Raises:
        DataError: as for :func:`picture_shape`; pages of several sizes, or pixels that are transparent in part.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGBA", (5, 4)).save(folder + "/a.png")
        ...     picture_image(folder + "/a.png").values.shape
        (4, 5, 1, 3)
    """
    with _opened(path) as picture:
        if _has_deep_colours(picture, path):
            values = _deep_colours(path, picture)
            if values.shape[3] == 4:
                _check_evenly_opaque(values[..., -1], path)
                values = values[..., :-1]
            return StoredGrid(values.astype(np.float32), None, True)
        pages = [_plane(frame, IN_COLOURS, path, np.float32) for frame in _frames(picture)]
    return StoredGrid(_stacked(pages, path), None, True)


def picture_label(path: str) -> StoredGrid:
    """The stored values of a mask in their own type: grey values, those of the palette's indices, or equal colours.

    Grey values of 2 and 4 bits are those from 0 to 3 and 15 that are stored, not those that viewers show.

    Raises:
        DataError: as for :func:`picture_shape`; a mask in colours, one whose shape lies in its transparency, or one
            with a palette that gives its indices another meaning.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (5, 4), 255).save(folder + "/a.png")
        ...     int(picture_label(folder + "/a.png").values.max())
        255
    """
    with _opened(path) as picture:
        if _has_deep_colours(picture, path):
            return StoredGrid(_one_value(_deep_colours(path, picture), path), None, True, mask="grey")
        depth = _depth(picture, path)
        if picture.mode in ("P", "PA"):
            pages = [_plane(frame, {"PA": "P"}, path) for frame in _frames(picture)]
            values, mask, colours = palette_values(_stacked(pages, path), picture.getpalette("RGB"), path)
            return StoredGrid(values, None, True, mask=mask, colours=colours)
        pages = [_plane(frame, {"RGBX": "RGB"}, path) for frame in _frames(picture)]
    values = _one_value(_stacked(pages, path), path)
    if depth in (2, 4) and values.dtype == np.uint8:
        values = values // (255 // (2**depth - 1))
    return StoredGrid(values, None, True, mask="grey")


def has_palette(path: str) -> bool:
    """Whether the picture has indices into a palette; from the header.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (5, 4)).save(folder + "/a.png")
        ...     has_palette(folder + "/a.png")
        False
    """
    with _opened(path) as picture:
        return picture.mode in ("P", "PA")


# --- opening ---------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """Pillow's picture, whose pixels the file can hold."""
    from PIL import Image, UnidentifiedImageError

    try:
        with open(path, "rb") as file, Image.open(file) as picture:  # by its name Pillow would scramble turned TIFFs
            frames = getattr(picture, "n_frames", 1)
            if frames > 1 and picture.format not in ("TIFF", "MPO"):
                raise DataError(
                    f"{path}: is an animation of {frames} frames; store the frame that is meant, or all of them as "
                    "numbered pictures of a folder"
                )
            _check_room(picture, path)
            yield picture
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: cannot be read as a picture; copy it again, or, where its pixels are of a rare kind, such as "
            "colours of 32 bits, store it as NIfTI, NRRD or MetaImage"
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: has too many pixels to be read safely ({error}); cut it into tiles") from error


def _check_room(picture: Any, path: str) -> None:
    limit = {"PNG": DEFLATED_AT_MOST}.get(picture.format)
    if picture.format == "TIFF":
        limit = UNPACKED_AT_MOST.get(picture.tag_v2.get(COMPRESSION, 1))
        _check_pages(picture, path)
    if limit is not None:
        shape = (picture.height, picture.width, _pages(picture), len(picture.getbands()))
        check_room(path, shape, _depth(picture, path) / 8, os.path.getsize(path), at_most=limit)


def _check_pages(picture: Any, path: str) -> None:
    sizes = dict.fromkeys(frame.size for frame in _frames(picture))
    picture.seek(0)
    if len(sizes) > 1:
        found = " and ".join(f"{height} x {width}" for width, height in list(sizes)[:2])
        raise DataError(f"{path}: its pages have several sizes ({found}), as previews have; store one size alone")


def _pages(picture: Any) -> int:
    """Of a TIFF; the further pictures of a JPEG are previews of the first."""
    return int(getattr(picture, "n_frames", 1)) if picture.format == "TIFF" else 1


def _frames(picture: Any) -> Iterator[Any]:
    for page in range(_pages(picture)):
        picture.seek(page)
        yield picture


def _depth(picture: Any, path: str) -> int:
    """Bits of a stored value."""
    if picture.format == "PNG":
        return _png_kind(path)[0]
    if picture.format == "TIFF":
        return max(picture.tag_v2.get(BITS, (1,)))
    return 1 if picture.mode == "1" else 8


def _png_kind(path: str) -> tuple[int, int]:
    """Bits of a value, and the kind of colours."""
    with open(path, "rb") as file:
        depth, kind_of_colours = file.read(26)[24:]
    return depth, kind_of_colours


def _png_tells_late(path: str) -> bool:
    """Whether text or EXIF follows the pixels, whose bytes are skipped."""
    behind = False
    with open(path, "rb", buffering=0) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            behind = behind or kind == b"IDAT"
            if behind and kind in LATE:
                return True
            file.seek(length + 4, os.SEEK_CUR)
    return False


def _orientation(picture: Any, path: str) -> int:
    """EXIF's, 1 where there is none; the pixels of a PNG are decoded only where it may stand behind them."""
    from PIL import Image

    if picture.format == "PNG" and _png_tells_late(path):
        picture.load()
    return int(Image.Image.getexif(picture).get(ORIENTATION, 1))


# --- values ----------------------------------------------------------------------------------------------------------


def _plane(frame: Any, convert: dict[str, str], path: str, dtype: Any = None) -> np.ndarray:
    """A page as an array, turned as it is shown; Pillow itself turns those of a TIFF."""
    from PIL import ImageOps

    behind = None
    if frame.format == "TIFF":
        (sample,) = set(frame.tag_v2.get(SAMPLE_FORMAT, (1,))) or {1}
        behind = TYPES_BEHIND.get((sample, _depth(frame, path)))
    turned = frame if frame.format == "TIFF" or _orientation(frame, path) == 1 else ImageOps.exif_transpose(frame)
    if dtype is not None and turned.has_transparency_data and not turned.mode.startswith(GREY):
        _check_evenly_opaque(np.asarray(turned.convert("RGBA").getchannel("A")), path)
    if turned.mode in convert:
        turned = turned.convert(convert[turned.mode])
    values = np.array(turned)
    values = values if behind is None else values.view(behind)
    return values if dtype is None else values.astype(dtype, copy=False)


def _stacked(pages: list[np.ndarray], path: str) -> np.ndarray:
    """``(H, W, pages, C)``."""
    if len({page.shape for page in pages}) > 1:
        raise DataError(f"{path}: some of its pages are grey and some in colours; store them alike")
    values = np.stack(pages, axis=2)
    return values if values.ndim == 4 else values[..., None]


def _has_deep_colours(picture: Any, path: str) -> bool:
    """Colours of more than 8 bits, which Pillow cuts to 8."""
    return picture.format in ("PNG", "TIFF") and not picture.mode.startswith(GREY) and _depth(picture, path) > 8


def _deep_colours(path: str, picture: Any) -> np.ndarray:
    """``(H, W, pages, C)`` by SimpleITK, which does not turn pictures."""
    import SimpleITK

    if picture.format == "PNG" and _png_kind(path)[1] == GREY_WITH_ALPHA:
        raise DataError(f"{path}: holds transparency beside grey values of 16 bits; store it without transparency")
    if _orientation(picture, path) != 1:
        raise DataError(
            f"{path}: its EXIF turns a picture in colours of {_depth(picture, path)} bits, which cannot be done here; "
            "store it as it is shown"
        )
    stored = SimpleITK.ReadImage(path, imageIO=f"{picture.format}ImageIO")
    values = itk_values(stored)
    if stored.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    return np.swapaxes(values[:, :, None] if values.ndim == 3 else values, 0, 1)


def _check_evenly_opaque(alpha: np.ndarray, path: str) -> None:
    if alpha.size and alpha.min() != alpha.max():
        raise DataError(
            f"{path}: is transparent in part (alpha from {alpha.min()} to {alpha.max()}), so that it depends on what "
            "lies behind it; flatten it onto a background and store it without transparency"
        )


def _one_value(values: np.ndarray, path: str) -> np.ndarray:
    """The one channel of a mask ``(H, W, pages, C)`` whose colours are equal and whose transparency adds nothing."""
    channels = values.shape[3]
    grey, alpha = (values[..., :-1], values[..., -1]) if channels in (2, 4) else (values, None)
    if (grey != grey[..., :1]).any():
        raise DataError(f"{path}: a label in colours; store class numbers, or 0 and 255, in one channel")
    grey = grey[..., :1]
    if alpha is not None and not _adds_nothing(alpha, grey[..., 0]):
        raise DataError(
            f"{path}: its transparency differs from its grey values, so that either may be the mask; store class "
            "numbers, or 0 and 255, in one channel without transparency"
        )
    return grey


def _adds_nothing(alpha: np.ndarray, grey: np.ndarray) -> bool:
    """All is equally opaque, or just what is black is transparent."""
    opaque = alpha > 0
    even = len(np.unique(alpha[opaque])) <= 1
    return even and bool(opaque.all() or np.array_equal(opaque, grey > 0))
