# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The HTML page about a run, from plain data: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from monai_al.report._page_numbers import several
from monai_al.report._page_view import page_view
from monai_al.report.page_content import Picture, RunPage, ShownItem, ShownRound, ShownVolume, Swatch

__all__ = ["Picture", "RunPage", "ShownItem", "ShownRound", "ShownVolume", "Swatch", "page_html"]


def page_html(page: RunPage) -> str:
    """The page as HTML: every text is escaped, an undefined number is a dash, and links go only to its own pictures.

    Example:
        >>> html = page_html(RunPage("a < b", {"strategy": "random", "sizes": [4, 4]}))
        >>> "<h1>a &lt; b</h1>" in html, "<script" in html
        (True, False)
    """
    return _templates().get_template("page.html").render(page_view(page))


@cache
def _templates() -> Environment:
    """The package's templates; a name that none of their variables bears is an error."""
    environment = Environment(
        loader=PackageLoader("monai_al.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["several"] = several
    return environment
