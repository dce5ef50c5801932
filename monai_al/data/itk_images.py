# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""MetaImage and NRRD by SimpleITK: checked files, voxels in the header's order of axes, geometry in RAS millimetres."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from monai_al.data.metaimage import check_voxel_file

__all__ = ["ITK_SUFFIXES", "RAS_LPS", "itk_shape", "itk_values", "ras_affine", "read_itk"]

ITK_SUFFIXES = (".mha", ".mhd", ".nrrd")
RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # turns an affine of the one convention into one of the other


def read_itk(path: str | os.PathLike) -> Any:
    """The SimpleITK image of a MetaImage or NRRD file.

    Raises:
        DataError: the voxel file of a MetaImage header is absent or has another size than the header says.
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
    if name.lower().endswith((".mha", ".mhd")):
        check_voxel_file(name, inflate=True)
    image = SimpleITK.ReadImage(name)
    dimension, components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimension not in (2, 3, 4) or (dimension == 4 and components > 1):
        raise ValueError(f"{dimension} dimensions with {components} components, expected 2 to 4 dimensions")
    return image


def itk_shape(path: str | os.PathLike) -> tuple[int, ...]:
    """The sizes of an image's axes, from its header alone; the components of a voxel (colours) are not counted.

    Example:
        >>> import tempfile, SimpleITK
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     SimpleITK.WriteImage(SimpleITK.Image([4, 5], SimpleITK.sitkVectorUInt8, 3), folder + "/a.mha")
        ...     itk_shape(folder + "/a.mha")
        (4, 5)
    """
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(os.fspath(path))
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
