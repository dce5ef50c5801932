# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""Settings of Sphinx, for the tree that build_site.py writes."""

from __future__ import annotations

import warnings

import monai_al

warnings.filterwarnings("ignore")

project = "monai_al"
author = "monai_al contributors"
copyright = author  # noqa: A001
release = version = monai_al.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # they are run by make tutorials, and hold their outputs
nb_merge_streams = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_use_rtype = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
exclude_patterns = ["jupyter_execute"]
suppress_warnings = ["config.cache"]

html_theme = "pydata_sphinx_theme"
html_title = "monai_al"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = dict.fromkeys(("index", "quick_start", "concepts", "which_strategy"), [])  # nothing lies beneath them
html_theme_options = {
    "header_links_before_dropdown": 7,
    "search_as_you_type": False,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "navbar_persistent": ["search-button"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
