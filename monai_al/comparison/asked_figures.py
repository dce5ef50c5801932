# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Which figures a comparison asks for beside its curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from monai_al.report.slice_panel import VIEWS

__all__ = ["FIGURES", "asked_figures", "check_figures"]

FIGURES: Mapping[str, Mapping[str, Any]] = {
    "embedding_map": {"runs": None, "clusters": 10, "query": None, "seed": None},
    "slice_panel": {"runs": None, "round": None, "slices": 4, "view": "classes", "seed": None},
}
"""Name of a figure -> what can be asked of it, with the values that hold where nothing is said."""

_SMALLEST = {"clusters": 1, "slices": 1, "query": 0, "round": 0, "seed": None}


def asked_figures(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is asked of each figure.

    ``embedding_map``: ``runs`` whose encoders are compared, number of ``clusters``, ``query``: the round whose items
    are ringed, or None. ``slice_panel``: ``runs`` whose predictions stand side by side, ``round``: after which, or
    None for the last one that all have, number of ``slices``, ``view``: ``"classes"`` or ``"agreement"``. Both:
    ``seed``, or None for the first one of which all runs are done.

    Args:
        content: checked by :func:`check_figures`; a list of runs alone stands for ``{runs: [...]}``.

    Example:
        >>> asked_figures({"embedding_map": ["coreset"]})
        {'embedding_map': {'runs': ['coreset'], 'clusters': 10, 'query': None, 'seed': None}}
    """
    return {name: {**FIGURES[name], **_settings(asked)} for name, asked in content.items()}


def check_figures(content: Any, names: Sequence[str], need: Callable[[bool, str], None]) -> None:
    """Check what a file asks for.

    Args:
        content: the value of its key ``figures``.
        names: the runs of the comparison.
        need: called with a condition and what to say where it does not hold.

    Example:
        >>> def need(holds, otherwise):
        ...     if not holds:
        ...         print(otherwise)
        >>> check_figures({"slice_panel": ["entropy"]}, ["random"], need)
        figures: slice_panel names 'entropy', which is none of the runs: random
    """
    known = ", ".join(FIGURES)
    need(isinstance(content, dict), f"figures should hold {{name: what is asked of it}} for {known}, got {content!r}")
    for name, asked in content.items():
        need(name in FIGURES, f"figures: unknown figure {name!r}; there are {known}")
        _check_figure(name, asked, names, need)


def _check_figure(name: str, asked: Any, names: Sequence[str], need: Callable[[bool, str], None]) -> None:
    keys = ", ".join(FIGURES[name])
    need(isinstance(asked, (dict, list)), f"figures: {name} should be a list of runs or hold {keys}, got {asked!r}")
    settings = _settings(asked)
    for key in settings:
        need(key in FIGURES[name], f"figures: unknown key {key!r} of {name}; it holds {keys}")
    runs = settings.get("runs")
    listed = isinstance(runs, list) and bool(runs) and len({*map(str, runs)}) == len(runs)
    need(listed, f"figures: runs of {name} must be a list of different names, got {runs!r}")
    for run in runs or ():
        need(run in names, f"figures: {name} names {run!r}, which is none of the runs: {', '.join(map(str, names))}")
    view = settings.get("view", VIEWS[0])
    need(view in VIEWS, f"figures: view of {name} must be one of {', '.join(VIEWS)}, got {view!r}")
    for key in _SMALLEST.keys() & settings.keys():
        _check_number(f"{key} of {name}", settings[key], _SMALLEST[key], FIGURES[name][key] is None, need)


def _check_number(
    what: str, value: Any, smallest: int | None, may_be_none: bool, need: Callable[[bool, str], None]
) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and (smallest is None or value >= smallest)
    wanted = "a whole number" + ("" if smallest is None else f" of at least {smallest}") + " or null" * may_be_none
    need(whole or (may_be_none and value is None), f"figures: {what} must be {wanted}, got {value!r}")


def _settings(asked: Any) -> dict[str, Any]:
    return dict(asked) if isinstance(asked, dict) else {"runs": asked}
