# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of a page: where they stand in the metrics of its rounds, and how people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monai_al.records import UNDEFINED
from monai_al.report.page_content import RunPage

__all__ = [
    "average_of",
    "class_names",
    "class_score",
    "digits",
    "duration",
    "evaluated_rounds",
    "hd95_title",
    "last_metrics",
    "mean_score",
    "of_volumes",
    "percent",
    "placeholder_remark",
    "seconds",
    "several",
    "significant",
    "whole",
]


# -- where they stand --------------------------------------------------------------------------------------------------


def evaluated_rounds(page: RunPage) -> list[tuple[int, Mapping[str, Any]]]:
    """Number and metrics of the evaluated rounds."""
    return [(shown.number, shown.metrics) for shown in page.rounds if shown.metrics is not None]


def last_metrics(page: RunPage) -> Mapping[str, Any]:
    """Those of the last evaluated round; nothing where there is none."""
    return next((metrics for _, metrics in reversed(evaluated_rounds(page))), {})


def is_tested(metrics: Mapping[str, Any]) -> bool:
    """Whether there is a test part; so it is where a round does not say."""
    return (metrics.get("counts") or {}).get("volumes") != 0


def class_names(page: RunPage) -> list[str]:
    """The classes that the last evaluated round was scored on."""
    return list((last_metrics(page).get("dice_3d") or {}).get("per_class") or {})


def mean_score(metrics: Mapping[str, Any], key: str) -> float | None:
    """A score over all volumes and classes.

    Example:
        >>> mean_score({"dice_3d": {"mean": 0.8}}, "dice_3d"), mean_score({}, "dice_3d")
        (0.8, None)
    """
    return (metrics.get(key) or {}).get("mean")


def class_score(metrics: Mapping[str, Any], key: str, name: str) -> float | None:
    """A score of one class over all volumes."""
    return ((metrics.get(key) or {}).get("per_class") or {}).get(name)


def of_volumes(metrics: Mapping[str, Any], key: str) -> Mapping[str, Mapping[str, float | None]]:
    """Volume -> class -> score."""
    return (metrics.get(key) or {}).get("per_volume") or {}


def average_of(values: Iterable[float | None]) -> float | None:
    """The mean of the numbers that are defined.

    Example:
        >>> average_of([0.5, None, 1.0]), average_of([None])
        (0.75, None)
    """
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def placeholder_remark(metrics: Mapping[str, Any]) -> str:
    """What has to be said of distances where the spacing is none."""
    return "spacing is a placeholder" if (metrics.get("hd95_3d") or {}).get("spacing_is_placeholder") else ""


def hd95_title(metrics: Mapping[str, Any]) -> str:
    """The score's name with its unit.

    Example:
        >>> hd95_title({}), hd95_title({"hd95_3d": {"spacing_is_placeholder": True}})
        ('HD95 (mm)', 'HD95 (not mm)')
    """
    return "HD95 (not mm)" if placeholder_remark(metrics) else "HD95 (mm)"


# -- how people read them ----------------------------------------------------------------------------------------------


def digits(value: float | None, places: int) -> str:
    """A number with so many decimals.

    Example:
        >>> digits(0.75, 3), digits(None, 3)
        ('0.750', '–')
    """
    return UNDEFINED if value is None else f"{value:.{places}f}"


def significant(value: float | None) -> str:
    """A number of any size with four digits; from 10000 on without decimals.

    Example:
        >>> significant(12.3456), significant(71689.4), significant(None)
        ('12.35', '71689', '–')
    """
    return UNDEFINED if value is None else f"{value:.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def whole(value: Any) -> str:
    r"""A count, its thousands apart.

    Example:
        >>> whole(40), whole(10684) == "10\u202f684", whole(None)
        ('40', True, '–')
    """
    return UNDEFINED if value is None else f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else str(value)


def percent(fraction: float | None) -> str:
    r"""A share.

    Example:
        >>> percent(0.125) == "12.5\u202f%", percent(None)
        (True, '–')
    """
    return UNDEFINED if fraction is None else f"{100 * fraction:.1f}\u202f%"


def seconds(value: float | None) -> str:
    """A time, or a dash.

    Example:
        >>> seconds(24.6), seconds(None)
        ('24.6 s', '–')
    """
    return UNDEFINED if value is None else duration(value)


def duration(value: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(24.6), duration(200), duration(8000)
        ('24.6 s', '3 min', '2 h 13 min')
    """
    if value < 100:
        return f"{value:.1f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def several(number: int | None, word: str) -> str:
    """A count of something.

    Example:
        >>> several(1, "item"), several(3, "item")
        ('1 item', '3 items')
    """
    return f"{whole(number)} {word}{'' if number == 1 else 's'}"
