"""Settings of Sphinx for the site; `scripts/site.py` starts it, once for each language."""

import html
import json
import os
from pathlib import Path

import mermaidx
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.search.zh import SearchChinese

HERE = Path(__file__).parent
CODE = os.environ["SITE_CODE"]  # of the language that is built, such as "en"
LANGUAGES = json.loads(os.environ["SITE_LANGUAGES"])  # by code: sphinx's name, own name, pages

project = "mnist-rknn"
author = "mnist-rknn"
root_doc = "README"
language = LANGUAGES[CODE]["sphinx"]
extensions = ["myst_nb"]

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4  # as on GitHub, so that links with # lead there too
myst_fence_as_directive = ["mermaid"]
nb_execution_mode = "off"  # `make notebooks` runs them

html_theme = "pydata_sphinx_theme"
html_title = "mnist-rknn"
html_show_sourcelink = False
html_copy_source = False
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
templates_path = [str(HERE / "templates")]
html_sidebars = {"**": ["menu"]}
html_theme_options = {
    "navbar_center": [],
    "navbar_end": ["language-switch", "theme-switcher"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
copyright = "Apache-2.0"


class Mermaid(Directive):
    """A Mermaid diagram, drawn now: pages need no script and no network for it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        number = self.state.document.settings.env.new_serialno("mermaid")
        drawn = mermaidx.Diagram("\n".join(self.content)).svg()
        drawn = drawn.replace("my-svg", f"mermaid-{number}")
        label = html.escape(f"Diagram {number + 1}", quote=True)
        figure = f'<figure class="mermaid" role="img" aria-label="{label}">{drawn}</figure>'
        return [nodes.raw("", figure, format="html")]


class Chinese(SearchChinese):
    """Its stemmer is the English one; Sphinx 9.0 would ask the browser for a ChineseStemmer."""

    language_name = "English"


def setup(app):
    app.add_directive("mermaid", Mermaid)
    app.add_search_language(Chinese)
    app.connect("html-page-context", add_languages)


def add_languages(app, pagename, templatename, context, doctree):
    """Tell each page where it is to be found in the other languages."""
    up = "../" * (pagename.count("/") + 1)
    context["languages"] = [
        {
            "code": code,
            "name": known["name"],
            "url": f"{up}{code}/{pagename if pagename in known['pages'] else root_doc}.html",
            "current": code == CODE,
        }
        for code, known in LANGUAGES.items()
    ]
