# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Volumes that cannot be used: the error that tells why, and leaving them out by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from monai_al.records import DataError

__all__ = ["UnusableVolumes", "without"]


class UnusableVolumes(DataError):
    """Volumes of a data set whose files cannot be used, all of a kind at once.

    Args:
        message: what the user reads.
        reasons: name of a volume -> what is wrong with it.
        of: how many were looked at.

    Example:
        >>> error = UnusableVolumes("1 of 9 cannot be used", {"case_1": "case_1.nii: is empty"}, 9)
        >>> error.reasons, error.all
        ({'case_1': 'case_1.nii: is empty'}, False)
    """

    def __init__(self, message: str, reasons: Mapping[str, str], of: int) -> None:
        super().__init__(message)
        self.reasons = dict(reasons)
        self.all = len(self.reasons) >= of


class _Called(Protocol):
    @property
    def volume(self) -> str: ...


_OneCalled = TypeVar("_OneCalled", bound=_Called)


def without(pairs: Mapping[str, _OneCalled], exclude: Sequence[str] | None) -> dict[str, _OneCalled]:
    """The pairs whose volumes are not to be left out.

    Args:
        pairs: an image's name -> the image with its label.
        exclude: names of volumes; None leaves out none.

    Raises:
        DataError: there is no such volume, or ``exclude`` is no list of names.

    Example:
        >>> without({}, ["case_1"])
        Traceback (most recent call last):
        ...
        monai_al.records.errors.DataError: exclude: the data set has no volume 'case_1'; correct the list
    """
    if isinstance(exclude, str) or not all(isinstance(name, str) for name in exclude or ()):
        raise DataError(f"exclude must be a list of names of volumes, as ['case_1'], got {exclude!r}")
    names = set(exclude or ())
    unknown = sorted(names - {pair.volume for pair in pairs.values()})
    if unknown:
        raise DataError(f"exclude: the data set has no volume {', '.join(map(repr, unknown))}; correct the list")
    return {key: pair for key, pair in pairs.items() if pair.volume not in names}
