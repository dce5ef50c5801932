# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The HTML page about a run, from plain data: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from monai_al.report._page_view import page_view
from monai_al.report._templates import templates
from monai_al.report.page_content import Picture, RunPage, ShownItem, ShownRound, ShownVolume, Swatch

__all__ = ["Picture", "RunPage", "ShownItem", "ShownRound", "ShownVolume", "Swatch", "page_html"]


def page_html(page: RunPage) -> str:
    """The page as HTML: every text is escaped, an undefined number is a dash, and links go only to its own pictures.

    Example:
        >>> html = page_html(RunPage("a < b", {"strategy": "random", "sizes": [4, 4]}))
        >>> "<h1>a &lt; b</h1>" in html, "<script" in html
        (True, False)
    """
    return templates().get_template("page.html").render(page_view(page))
