# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The declared knobs of our bundles and the texts that they take, without torch and MONAI."""

from __future__ import annotations

from monai_al.options.literals import is_expression, literal, literal_of, literals_in
from monai_al.options.option import Option
from monai_al.options.table import OPTIONS, SECTIONS, options_of

__all__ = ["OPTIONS", "SECTIONS", "Option", "is_expression", "literal", "literal_of", "literals_in", "options_of"]
