"""The docs site: the pages of this folder and docstrings of the package. `make docs` builds it, without a network."""

from lookharder import __version__

project = "lookharder"
release = __version__
copyright = "the lookharder authors; Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3
default_role = "code"  # docstrings write `names` as Markdown does
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
maximum_signature_line_length = 88

html_theme = "furo"  # it takes the fonts of the reader's system
html_title = f"{project} {release}"
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}
