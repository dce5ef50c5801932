# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""How images are changed for test-time augmentation."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Augmentation"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The random changes of test-time augmentation; each copy of each image draws its own.

    The defaults are those of M. Gaillochet, C. Desrosiers, H. Lombaert, "Active learning for medical image segmentation
    with stochastic batches", 2023: small rotations and a little noise.

    Args:
        rotation: largest angle in degrees, either way, in [0, 45).
        noise: standard deviation of the Gaussian noise that is added, in the image's own units.
        flips: mirror along each in-plane axis, each with probability one half.
        quarter_turns: rotate by a random multiple of 90 degrees.

    Raises:
        ValueError: a number is out of range, or nothing would change.

    Example:
        >>> Augmentation(rotation=0, noise=0)
        Traceback (most recent call last):
        ...
        ValueError: an augmentation without rotation, noise, flips and quarter_turns changes nothing
    """

    rotation: float = 10.0
    noise: float = 0.01
    flips: bool = False
    quarter_turns: bool = False

    def __post_init__(self) -> None:
        for name, number, below in (("rotation", self.rotation, 45.0), ("noise", self.noise, math.inf)):
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < below:
                limit = "" if below == math.inf else f" and below {below:g}"
                raise ValueError(f"{name} must be a number of at least 0{limit}, got {number!r}")
        for name, switch in (("flips", self.flips), ("quarter_turns", self.quarter_turns)):
            if not isinstance(switch, bool):
                raise ValueError(f"{name} must be True or False, got {switch!r}")
        if not (self.rotation or self.noise or self.flips or self.quarter_turns):
            raise ValueError("an augmentation without rotation, noise, flips and quarter_turns changes nothing")
