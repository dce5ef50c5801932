# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of MetaImage, NRRD, NIfTI and DICOM series for MONAI's ``LoadImage`` and ``LoadImaged``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader, NibabelReader
from monai.data.utils import correct_nifti_header_if_necessary, is_no_channel
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from monai_al.data.dicom_series import dicom_file, dicom_series, read_dicom
from monai_al.data.grids import SAME_GRID, displacement
from monai_al.data.itk_images import ITK_SUFFIXES, RAS_LPS, itk_values, ras_affine, read_itk
from monai_al.data.nifti import open_nifti
from monai_al.data.nifti_header import NIFTI_SUFFIXES, millimetres
from monai_al.data.stored_formats import guarded
from monai_al.records.errors import DataError

__all__ = ["SimpleITKReader"]

DICOM_SUFFIXES = (".dcm",)
SUFFIXES = (*ITK_SUFFIXES, *NIFTI_SUFFIXES, *DICOM_SUFFIXES)


@dataclass(frozen=True)
class _Opened:
    """A file or folder that :meth:`SimpleITKReader.get_data` is to read."""

    path: str

    def __str__(self) -> str:
        return self.path


class SimpleITKReader(ImageReader):
    """Reads ``.mhd``, ``.mha``, ``.nrrd``, ``.nii``, ``.nii.gz``, a folder with a DICOM series, and ``.dcm``.

    Needs neither the ``itk`` package nor pydicom. Axes are in the order (x, y, z) of the header, as those of MONAI's
    other readers, and never permuted; the components of a voxel (colours) are channels, last. Several files become
    channels of one image.

    * MetaImage, NRRD: by SimpleITK; oblique and sheared axes are kept. A voxel file that is absent or too short or too
      long is an error that names both files and the bytes expected.
    * DICOM: found by GDCM's series reader; slices are ordered by position, the slice step and a slant are those of the
      positions, each slice has its own rescale factors applied. What cannot be one volume is an error, see
      :func:`monai_al.data.dicom_series.dicom_series`.
    * NIfTI: as ``NibabelReader``, which this reader calls, but to the end of the file with gzip's checksum, and with an
      affine in millimetres whatever the header's unit. SimpleITK would take the q-form for the s-form where both are
      set, drop sheared axes and last axes of length 1, and fill up truncated files.

    The files are read in :meth:`get_data`: after an error in :meth:`read`, ``LoadImage`` would try all other readers
    that are installed, and return what one of them makes of a series with missing slices.

    Args:
        channel_dim: the axis of the channels, for ``EnsureChannelFirstd``; ``"no_channel"``: there is none. Default:
            the axis behind the spatial ones, or the fourth, where there is one.
        series_name: the SeriesInstanceUID, for folders with several DICOM series.
        reverse_indexing: spatial axes as (z, y, x); channels stay in their place, and meta data does not change.
        affine_lps_to_ras: the affine leads to RAS millimetres, as that of other readers; False: to LPS, as in ITK.

    Example:
        >>> import tempfile, SimpleITK
        >>> from monai.transforms import LoadImaged
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     image = SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16)
        ...     image.SetSpacing((0.5, 0.5, 3.0))
        ...     SimpleITK.WriteImage(image, folder + "/a.mhd")
        ...     load = LoadImaged("image", reader=SimpleITKReader, ensure_channel_first=True)
        ...     loaded = load({"image": folder + "/a.mhd"})["image"]
        >>> tuple(loaded.shape), loaded.pixdim.tolist(), loaded.affine.diag().tolist()
        ((1, 4, 5, 6), [0.5, 0.5, 3.0], [-0.5, -0.5, 3.0, 1.0])
    """

    def __init__(
        self,
        channel_dim: str | int | None = None,
        series_name: str = "",
        reverse_indexing: bool = False,
        affine_lps_to_ras: bool = True,
    ) -> None:
        super().__init__()
        self.channel_dim: Any = float("nan") if channel_dim == "no_channel" else channel_dim
        self.series_name = series_name
        self.reverse_indexing = reverse_indexing
        self.affine_lps_to_ras = affine_lps_to_ras

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether all of these are files of the kinds above, by their names, or folders."""
        return all(_is_readable(os.fspath(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Any:
        """Take note of one or several files or folders; :meth:`get_data` reads them.

        Raises:
            DataError: one is of another kind, so that another reader has to be asked.
        """
        paths = [os.fspath(name) for name in ensure_tuple(data)]
        strangers = [path for path in paths if not _is_readable(path)]
        if strangers:
            raise DataError(f"{strangers[0]}: unknown kind of file; readable are {', '.join(SUFFIXES)} and folders")
        opened = [_Opened(path) for path in paths]
        return opened if len(opened) > 1 else opened[0]

    def get_data(self, img: Any) -> tuple[np.ndarray, dict]:
        """Voxels and meta data.

        Args:
            img: what :meth:`read` returned, or one or several images of SimpleITK.

        Returns:
            The voxels in their stored type, rescaled where the file says so: ``(x, y)``, ``(x, y, z)``, or with
            channels behind. Meta data: ``affine`` and ``original_affine`` ``(4, 4)`` float64, ``space``, ``spacing`` in
            mm, ``spatial_shape``, ``original_channel_dim``; those of a NIfTI header, too. Several images are stacked as
            channels in front, or joined along the channels that they have, with the meta data of the first.

        Raises:
            DataError: a file is missing, damaged or ambiguous, or several images differ in shape or position.
        """
        images = img if isinstance(img, (list, tuple)) else [img]
        loaded = [self._load(image) for image in images]
        values, meta = loaded[0]
        if len(loaded) == 1:
            return values, meta
        for number in range(1, len(loaded)):
            names = tuple(str(images[n]) if isinstance(images[n], _Opened) else f"image {n}" for n in (0, number))
            _check_alike(names, loaded[0], loaded[number])
        arrays = [array for array, _ in loaded]
        if not is_no_channel(meta[MetaKeys.ORIGINAL_CHANNEL_DIM]):
            return np.concatenate(arrays, axis=int(meta[MetaKeys.ORIGINAL_CHANNEL_DIM])), meta
        return np.stack(arrays), {**meta, MetaKeys.ORIGINAL_CHANNEL_DIM: 0}

    def _load(self, image: Any) -> tuple[np.ndarray, dict]:
        if not isinstance(image, _Opened):
            values, meta = self._described(itk_values(image), ras_affine(image), min(image.GetDimension(), 3))
        elif image.path.lower().endswith(NIFTI_SUFFIXES):
            values, meta = guarded(image.path, self._nifti)
        elif os.path.isdir(image.path) or image.path.lower().endswith(DICOM_SUFFIXES):
            in_folder = os.path.isdir(image.path)
            series = dicom_series(image.path, self.series_name) if in_folder else dicom_file(image.path)
            values, meta = self._described(read_dicom(series), series.affine, 3)
        else:
            return self._load(guarded(image.path, read_itk))
        if self.reverse_indexing:
            values = _reversed(values, meta[MetaKeys.ORIGINAL_CHANNEL_DIM])
        if not self.affine_lps_to_ras:
            for key in (MetaKeys.AFFINE, MetaKeys.ORIGINAL_AFFINE):
                meta[key] = RAS_LPS @ meta[key] + 0.0
            meta[MetaKeys.SPACE] = SpaceKeys.LPS
        return values, meta

    def _described(self, values: np.ndarray, affine: np.ndarray, spatial: int) -> tuple[np.ndarray, dict]:
        channel = self.channel_dim
        shape = values.shape
        if channel is None:
            channel = -1 if values.ndim > spatial else float("nan")
        elif not is_no_channel(channel):
            shape = np.delete(shape, int(channel))
        return values, {
            MetaKeys.AFFINE: affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(shape[:spatial]),
            MetaKeys.ORIGINAL_CHANNEL_DIM: channel,
            "spacing": _spacing(affine)[:spatial],
        }

    def _nifti(self, path: str) -> tuple[np.ndarray, dict]:
        reader = NibabelReader(self.channel_dim)
        reader.read(path)
        with open_nifti(path) as stored:
            values, meta = reader.get_data(correct_nifti_header_if_necessary(stored))
        for key in (MetaKeys.AFFINE, MetaKeys.ORIGINAL_AFFINE):
            meta[key][:3] *= millimetres(stored.header)
        if values.dtype.names:  # colours
            values, meta[MetaKeys.ORIGINAL_CHANNEL_DIM] = np.stack([values[n] for n in values.dtype.names], -1), -1
        meta["spacing"] = _spacing(meta[MetaKeys.AFFINE])[: len(meta[MetaKeys.SPATIAL_SHAPE])]
        return values, meta


def _is_readable(path: str) -> bool:
    return path.lower().endswith(SUFFIXES) or os.path.isdir(path)


def _spacing(affine: np.ndarray) -> np.ndarray:
    return np.linalg.norm(affine[:3, :3], axis=0)


def _reversed(values: np.ndarray, channel: Any) -> np.ndarray:
    """The spatial axes in reverse, the axis of the channels where it was."""
    kept = None if is_no_channel(channel) else int(channel) % values.ndim
    spatial = [axis for axis in range(values.ndim) if axis != kept]
    order = list(range(values.ndim))
    for axis, other in zip(spatial, reversed(spatial), strict=True):
        order[axis] = other
    return values.transpose(order)


def _check_alike(names: tuple[str, ...], first: tuple[np.ndarray, dict], other: tuple[np.ndarray, dict]) -> None:
    shapes = [tuple(int(n) for n in meta[MetaKeys.SPATIAL_SHAPE]) for _, meta in (first, other)]
    if shapes[0] != shapes[1] or first[0].ndim != other[0].ndim:
        found = f"{names[0]} has shape {first[0].shape}, {names[1]} {other[0].shape}"
        raise DataError(f"{found}: they cannot be channels of one image")
    affines = [meta[MetaKeys.AFFINE] for _, meta in (first, other)]
    share = displacement((*shapes[0], 1, 1)[:3], *affines)
    if not share <= SAME_GRID:
        found = f"{names[0]} and {names[1]} have affines that differ by up to {share:.3g} voxel edges"
        raise DataError(f"{found}: they cannot be channels of one image")
