"""How Sphinx builds the site. tools/docs stages the pages and calls it; nothing here is needed to read them."""

import os

project = "agen"
author = "the agen developers"
copyright = "the agen developers"
version = release = os.environ.get("AGEN_VERSION", "")

extensions = ["myst_parser", "breathe"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True
# The names of types in signatures are the standard library's, parameters of templates and type variables: no pages here.
nitpick_ignore_regex = [("py:.*", ".*"), ("cpp:.*", ".*")]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4

breathe_projects = {"agen": os.environ.get("AGEN_DOXYGEN", "")}
breathe_default_project = "agen"
breathe_show_include = False

html_theme = "furo"
html_title = "agen"
html_static_path = ["_static"]
html_css_files = ["agen.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_last_updated_fmt = None
html_theme_options = {
    # The system's own fonts: a page loads nothing from elsewhere.
    "light_css_variables": {"color-brand-primary": "#0b6e63", "color-brand-content": "#0b6e63"},
    "dark_css_variables": {"color-brand-primary": "#4fd1c0", "color-brand-content": "#4fd1c0"},
}
pygments_style = "friendly"
pygments_dark_style = "monokai"
