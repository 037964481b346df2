"""How the documentation is built: nox -s docs."""

from docutils import nodes
from sphinx.application import Sphinx

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
    "sphinx_llm.txt",
]
html_theme = "furo"
html_title = "liangxin"
exclude_patterns = ["_build"]
default_role = "code"
myst_enable_extensions = ["colon_fence", "html_image"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 100
llms_txt_description = "The Python SDK for the LiangXin Market of image and video models."
llms_txt_full_build = True
llms_txt_suppress_unknown_node_warnings = ["label"]  # a tab's; its code says which it is


def setup(app: Sphinx) -> None:
    """Keep the `*` of signatures in the Markdown for agents, which has no abbreviations."""
    app.add_node(nodes.abbreviation, override=True, markdown=(_as_it_is, _as_it_is))


def _as_it_is(translator: object, node: nodes.Node) -> None:
    """Its text is all there is."""
