# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The work list of a round as an HTML page, to be read on a screen and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monai_al.records import round_title
from monai_al.report._templates import templates
from monai_al.report.page_content import Swatch

__all__ = ["ShownWork", "WorkListPage", "work_list_html"]


@dataclass(frozen=True)
class ShownWork:
    """One requested slice.

    Args:
        number: its number on the list.
        id: the item's id.
        file: the annotation file, from the page's folder.
        facts: name and value of what leads to the slice, in order.
        picture: the picture's file, from the page's folder; None where there is none.
        why: why it was chosen.
        state: what has become of it.
        note: what the last import said of it.
        taken: whether its label is in the run.

    Example:
        >>> ShownWork(1, "a/0007", "a/annotation.nii.gz", [("ITK-SNAP", "8")]).state
        'waiting'
    """

    number: int
    id: str
    file: str
    facts: Sequence[tuple[str, str]]
    picture: str | None = None
    why: str = ""
    state: str = "waiting"
    note: str = ""
    taken: bool = False


@dataclass(frozen=True)
class WorkListPage:
    """All that stands on the page.

    Args:
        run: name of the run.
        round: the round; -1 for the test set.
        work: the requested slices, in order.
        classes: names and colours of what is drawn.
        task: which strokes are asked for, a sentence without its full stop; empty: masks are.

    Example:
        >>> WorkListPage("demo", 1, []).classes
        ()
    """

    run: str
    round: int
    work: Sequence[ShownWork]
    classes: Sequence[Swatch] = ()
    task: str = ""

    @property
    def n_taken(self) -> int:
        """How many slices are in the run."""
        return sum(one.taken for one in self.work)

    @property
    def title(self) -> str:
        """The round in words."""
        return round_title(self.round)


def work_list_html(page: WorkListPage) -> str:
    """The page as HTML: every text is escaped, and nothing is loaded but the pictures beside it.

    Example:
        >>> html = work_list_html(WorkListPage("a < b", 1, [ShownWork(1, "c/0007", "c/annotation.nii.gz", [])]))
        >>> "a &lt; b" in html, "<script" in html
        (True, False)
    """
    return templates().get_template("work_list.html").render(page=page)
