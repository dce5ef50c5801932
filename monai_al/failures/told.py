# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""What to tell of an error: the deepest cause of a chain that tells something to its user."""

from __future__ import annotations

from monai_al.failures.chain import chain, is_deliberate
from monai_al.failures.configs import as_typed, of_config, of_network, of_package, of_syntax, of_weights, within_config
from monai_al.failures.machine import of_device, of_disk, of_file, of_memory, of_worker

__all__ = ["told"]

_FIRST = (of_memory, of_disk, of_worker)  # whatever they led to
_THEN = (of_syntax, of_config, of_package, of_weights, of_device, of_network, of_file)


def told(error: BaseException) -> str | None:
    """The message for an error in what the user gave or in their machine; None for one that is a bug.

    The machine's limits come first, whatever followed from them. Then counts what this package raised about its input,
    then the deepest error of another library that is known to be about configs, files, weights or devices.

    Args:
        error: as it was caught; what it followed from is looked at, too.

    Example:
        >>> told(ValueError("somebody else's")) is None, told(MemoryError())[:13]
        (True, 'out of memory')
    """
    errors = chain(error)
    for known in _FIRST:
        message = next(filter(None, map(known, reversed(errors))), None)
        if message:
            return message
    ours = next((one for one in errors if is_deliberate(one)), None)
    if ours is not None:
        return as_typed(ours, errors[: errors.index(ours)])
    for one in reversed(errors):
        message = next(filter(None, (known(one) for known in _THEN)), None)
        if message:
            return message
    return within_config(errors)
