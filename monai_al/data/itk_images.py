# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MetaImage and NRRD by SimpleITK: checked files, voxels in the header's order of axes, geometry in RAS millimetres."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from monai_al.data.metaimage import check_voxel_file, header_fields
from monai_al.data.nrrd import check_nrrd, nrrd_fields
from monai_al.data.stored_grid import StoredGrid

__all__ = [
    "ITK_SUFFIXES",
    "RAS_LPS",
    "itk_image",
    "itk_label",
    "itk_shape",
    "itk_values",
    "ras_affine",
    "read_itk",
]

META_SUFFIXES = (".mha", ".mhd")
ITK_SUFFIXES = (*META_SUFFIXES, ".nrrd")
RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # turns an affine of the one convention into one of the other


def itk_image(path: str) -> StoredGrid:
    """The voxels of a MetaImage or NRRD file as float32, with its geometry.

    Example:
        >>> import tempfile, SimpleITK
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16), folder + "/a.mha")
        ...     grid = itk_image(folder + "/a.mha")
        >>> grid.values.shape, grid.values.dtype, grid.placeholder
        ((4, 5, 6, 1), dtype('float32'), False)
    """
    return _grid(path, np.float32)


def itk_label(path: str) -> StoredGrid:
    """The same, with the values in their own type.

    Example:
        >>> import tempfile, SimpleITK
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16), folder + "/a.mha")
        ...     itk_label(folder + "/a.mha").values.dtype
        dtype('int16')
    """
    return _grid(path, None)


def _grid(path: str, dtype: Any) -> StoredGrid:
    stored = read_itk(path)
    values = itk_values(stored, dtype)
    if stored.GetDimension() == 2:
        values = np.expand_dims(values, 2)
    spaced, placed = _stated(path)
    return StoredGrid(values if values.ndim == 4 else values[..., None], ras_affine(stored), not spaced, placed)


def _stated(path: str) -> tuple[bool, bool]:
    """Whether the header states the voxel size, and where the axes point; SimpleITK fills in what it does not."""
    if path.lower().endswith(META_SUFFIXES):
        fields = header_fields(path)
        axes = {"TransformMatrix", "Rotation", "Orientation"} & set(fields)
        return bool({"ElementSpacing", "ElementSize"} & set(fields)), bool(axes)
    fields = nrrd_fields(path)
    directions = "(" in fields.get("spacedirections", "")
    spacings = [word for word in fields.get("spacings", "").lower().split() if word != "nan"]
    return directions or bool(spacings), directions


def read_itk(path: str | os.PathLike) -> Any:
    """The SimpleITK image of a MetaImage or NRRD file.

    Raises:
        DataError: the voxel file that a header names is absent, lies outside the header's folder, is damaged or has
            another size than the header says.
        ValueError: an image of 2 to 4 axes is expected, with 4 axes one of a single component.
        RuntimeError: SimpleITK cannot read the file.

    Example:
        >>> import tempfile, SimpleITK
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16), folder + "/a.mha")
        ...     read_itk(folder + "/a.mha").GetSize()
        (4, 5, 6)
    """
    import SimpleITK

    name = os.fspath(path)
    _check_files(name, inflate=True)
    image = SimpleITK.ReadImage(name)
    dimension, components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimension not in (2, 3, 4) or (dimension == 4 and components > 1):
        raise ValueError(f"{dimension} dimensions with {components} components, expected 2 to 4 dimensions")
    return image


def _check_files(name: str, *, inflate: bool = False) -> None:
    if name.lower().endswith(META_SUFFIXES):
        check_voxel_file(name, inflate=inflate)
    elif name.lower().endswith(ITK_SUFFIXES):
        check_nrrd(name)


def itk_shape(path: str | os.PathLike) -> tuple[int, ...]:
    """The sizes of an image's axes, from its header alone; the components of a voxel (colours) are not counted.

    Raises:
        DataError: the file that the header names for the voxels is absent, elsewhere or of another size.

    Example:
        >>> import tempfile, SimpleITK
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     SimpleITK.WriteImage(SimpleITK.Image([4, 5], SimpleITK.sitkVectorUInt8, 3), folder + "/a.mha")
        ...     itk_shape(folder + "/a.mha")
        (4, 5)
    """
    import SimpleITK

    name = os.fspath(path)
    _check_files(name)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return tuple(int(n) for n in reader.GetSize())


def itk_values(image: Any, dtype: Any = None) -> np.ndarray:
    """The voxels of a SimpleITK image, axes in the order of its sizes, the components of a voxel last.

    Args:
        image: the image.
        dtype: type of the values. Default: that of the image.

    Returns:
        ``(x, y)``, ``(x, y, z)`` or ``(x, y, z, t)``, with more than one component followed by them; a copy.

    Example:
        >>> import SimpleITK
        >>> itk_values(SimpleITK.Image([4, 5, 6], SimpleITK.sitkVectorUInt8, 3)).shape
        (4, 5, 6, 3)
    """
    import SimpleITK

    view = SimpleITK.GetArrayViewFromImage(image)
    order = tuple(reversed(range(image.GetDimension())))
    return np.array(view.transpose(order + tuple(range(len(order), view.ndim))), dtype=dtype)


def ras_affine(image: Any) -> np.ndarray:
    """The affine of a SimpleITK image, voxel index to RAS millimetres; SimpleITK itself counts in LPS.

    Returns:
        float64 ``(4, 4)``, also of a 2D image; a fourth axis has no place in it.

    Example:
        >>> import SimpleITK
        >>> image = SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16)
        >>> image.SetSpacing((0.5, 0.5, 3.0)), image.SetOrigin((10.0, 20.0, 30.0))
        (None, None)
        >>> ras_affine(image)[:3].tolist()
        [[-0.5, 0.0, 0.0, -10.0], [0.0, -0.5, 0.0, -20.0], [0.0, 0.0, 3.0, 30.0]]
    """
    full = image.GetDimension()
    n = min(full, 3)
    affine = np.eye(4)
    direction = np.asarray(image.GetDirection(), dtype=np.float64).reshape(full, full)[:n, :n]
    affine[:n, :n] = direction * np.asarray(image.GetSpacing()[:n])
    affine[:n, 3] = image.GetOrigin()[:n]
    return RAS_LPS @ affine + 0.0  # no -0.0
