"""Settings of Sphinx. The pages lie beside this file when it is read: gather.py has put them there."""

from __future__ import annotations

import re
import typing as t

from docutils import nodes
from sphinx.application import Sphinx

ANSIBLE = "https://docs.ansible.com/projects/ansible/latest"
ANSIBLE_LABELS = {
    "action_plugins": f"{ANSIBLE}/plugins/action.html#action-plugins",
    "ansible_configuration_settings": f"{ANSIBLE}/reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": f"{ANSIBLE}/reference_appendices/common_return_values.html#common-return-values",
}
"""What antsibull-docs refers to in Ansible's own documentation. Intersphinx would fetch a list of all labels to look up these."""


def link_to_ansible(_app: Sphinx, _env: object, reference: t.Any, content: nodes.Element) -> nodes.reference | None:
    """A link for a reference that is not to this site; none for one that is simply wrong."""
    target = ANSIBLE_LABELS.get(reference["reftarget"])
    return nodes.reference("", "", content, refuri=target, internal=False) if target else None


def drop_contents(_app: Sphinx, _page: str, source: list[str]) -> None:
    """The pages of antsibull-docs list their sections, as the theme does beside every page."""
    source[0] = re.sub(r"^\.\. contents::\n(   .*\n)+", "", source[0], flags=re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", link_to_ansible)
    app.connect("source-read", drop_contents)


COLOURS = {
    "color-brand-primary": ("#0969da", "#58a6ff"),
    "color-brand-content": ("#0969da", "#58a6ff"),
    "color-brand-visited": ("#8250df", "#bc8cff"),
    "antsibull-links-background": ("#0969da", "#1f4b7d"),
    "antsibull-links-background-active": ("#0550ae", "#2d5f99"),
    "antsibull-links-focus-outline": ("#54aeff", "#58a6ff"),
    "antsibull-links-text": ("#ffffff", "#ffffff"),
    "antsibull-table-background-header": ("#eaeef2", "#202327"),
    "antsibull-table-background-even": ("#f6f8fa", "#1a1c1e"),
    "antsibull-table-background-odd": ("#ffffff", "#131416"),
    "antsibull-table-border": ("#d0d7de", "#303335"),
    "antsibull-narrowtable-background": ("#eaeef2", "#202327"),
    "antsibull-option-type": ("#8250df", "#bc8cff"),
    "antsibull-option-elements": ("#8250df", "#bc8cff"),
    "antsibull-option-required": ("#cf222e", "#ff7b72"),
    "antsibull-option-version-added": ("#1a7f37", "#3fb950"),
    "antsibull-option-aliases": ("#1a7f37", "#3fb950"),
    "antsibull-option-default": ("#0969da", "#58a6ff"),
    "antsibull-option-sample": ("#0969da", "#58a6ff"),
    "antsibull-option-sample-header": ("#1f2328", "#cfd0d0"),
    "antsibull-attribute-support-none": ("#cf222e", "#ff7b72"),
    "antsibull-attribute-support-partial": ("#9a6700", "#d29922"),
    "antsibull-attribute-support-full": ("#1a7f37", "#3fb950"),
    "antsibull-attribute-support-na": ("inherit", "inherit"),
    "antsibull-deprecation-border": ("#1f2328", "#cfd0d0"),
    "antsibull-deprecation-background": ("#eaeef2", "#202327"),
    "antsibull-deprecation-color": ("#1f2328", "#cfd0d0"),
}
"""On light pages and on dark ones. Those of antsibull-docs follow the theme's own switch only when they are the theme's."""

project = "bigfile.oci"
copyright = "the bigfile.oci founders"
author = "the bigfile.oci founders"
html_title = "bigfile.oci"

extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nitpicky = True
# A console block is what a person types after the prompt and what comes back; only the first is worth copying.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"

antsibull_ext_color_scheme = "none"
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/bigfile-oci/bigfile.oci/",
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": [],
    "light_css_variables": {name: light for name, (light, _dark) in COLOURS.items()},
    "dark_css_variables": {name: dark for name, (_light, dark) in COLOURS.items()},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
