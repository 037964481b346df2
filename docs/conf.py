"""How the documentation is built: nox -s docs."""

from liangxin import __version__ as release  # noqa: F401

project = "liangxin"
author = "The liangxin authors"
copyright = "2026, The liangxin authors"  # noqa: A001
smartquotes = False  # values are there to be copied
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_inline_tabs",
]
html_theme = "furo"
html_title = "liangxin"
exclude_patterns = ["_build"]
default_role = "code"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
nitpicky = False
