# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The templates of the pages."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from monai_al.report._page_numbers import several

__all__ = ["templates"]


@cache
def templates() -> Environment:
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
