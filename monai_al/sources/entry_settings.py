# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What a user says of the entries of a foreign bundle, where the bundle itself does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["IMAGE", "LABEL", "USUAL", "EntrySettings"]

IMAGE, LABEL = "image", "label"


@dataclass(frozen=True)
class EntrySettings:
    """Under which keys an entry holds its image and its label, and how its patient is found.

    Args:
        image_key: key of an entry whose value is the file, the files or the array of its image; and of the preprocessed
            dictionary, where it holds no ``image``.
        label_key: the same of its label.
        patient: regular expression that finds the patient in an image's path below the folder that all images share,
            without its suffix: its group, or all that it matches. None: as the entries or the paths tell.

    Raises:
        ValueError: a key is no text, both are the same, or the patient's rule is no regular expression or has several
            groups.

    Example:
        >>> EntrySettings(label_key="seg").labels_of({"image": "a.nii", "seg": "b.nii"})
        ['seg']
    """

    image_key: str = IMAGE
    label_key: str = LABEL
    patient: str | None = None

    def __post_init__(self) -> None:
        for name in ("image_key", "label_key"):
            key = getattr(self, name)
            if not isinstance(key, str) or not key:
                raise ValueError(f"--{name} must be a key of the bundle's entries, got {key!r}")
        if self.image_key == self.label_key:
            raise ValueError(f"--image_key and --label_key must differ, both are {self.image_key!r}")
        if self.patient is not None:
            _check_rule(self.patient)

    def labels_of(self, entry: Mapping[str, Any]) -> list[str]:
        """The keys of an entry that hold labels: ``label_key``, and all that begin with "label".

        Example:
            >>> EntrySettings(label_key="label_inst").labels_of({"label_type": 1, "label_inst": 2, "image": 3})
            ['label_inst', 'label_type']
        """
        others = [key for key in entry if str(key).startswith(LABEL) and key not in (self.image_key, self.label_key)]
        return [self.label_key] * (self.label_key in entry) + others

    def results(self) -> dict[str, Any]:
        """The settings that are not the default.

        Example:
            >>> EntrySettings(image_key="img").results()
            {'image_key': 'img'}
        """
        return {name: value for name, value in asdict(self).items() if value != getattr(type(self), name)}

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> EntrySettings:
        """The settings among those that a run's record holds; what it does not hold is the default.

        Args:
            record: ``config#learner`` of ``run.json``.

        Example:
            >>> EntrySettings.recorded({"seed": 0, "label_key": "seg"})
            EntrySettings(image_key='image', label_key='seg', patient=None)
        """
        return cls(**{field.name: record[field.name] for field in fields(cls) if field.name in record})


USUAL = EntrySettings()


def _check_rule(rule: str) -> None:
    try:
        groups = re.compile(rule).groups
    except (re.error, TypeError) as error:
        raise ValueError(f"--patient {rule!r} is no regular expression: {error}") from error
    if groups > 1:
        raise ValueError(f"--patient {rule!r} has {groups} groups: one finds the patient; write the others as (?:...)")
