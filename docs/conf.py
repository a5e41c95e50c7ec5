"""How Sphinx makes a site of the Markdown files: `make docs`.

It starts at the top of the repository, so that links between pages are the same on the site as
between files. Nothing is fetched from elsewhere: fonts are the system's, scripts the theme's own.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import as_rst, field_of, parameters_of  # noqa: E402

project = "xmc"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "benchmarks/*.md", "CHANGELOG.md", "SECURITY.md"]
exclude_patterns = [".*", "build", "dist"]  # folders that are not looked into
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a changelog may go from level 2 to 4
smartquotes = False  # `--flag` must stay what is typed
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "xmc"
html_extra_path = ["site"]
html_copy_source = html_show_sphinx = html_show_copyright = False


def setup(app):
    """Docstrings are Markdown's few signs; parameters are those that are declared."""
    app.connect("autodoc-process-docstring", rewrite)


def rewrite(app, what, name, thing, options, lines):
    lines[:] = field_of(name) if lines[:1] and lines[0].startswith("Alias for") else as_rst(lines)
    if what == "class":
        lines += parameters_of(thing)
