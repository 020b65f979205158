"""Settings of Sphinx. The pages lie beside this file when it is read: gather.py has put them there."""

from __future__ import annotations

import typing as t

from docutils import nodes
from sphinx.application import Sphinx

ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/reference_appendices"
ANSIBLE_LABELS = {
    "ansible_configuration_settings": f"{ANSIBLE}/config.html#ansible-configuration-settings",
    "common_return_values": f"{ANSIBLE}/common_return_values.html#common-return-values",
}
"""What antsibull-docs refers to in Ansible's own documentation. Intersphinx would fetch a list of all labels to look up these."""


def link_to_ansible(_app: Sphinx, _env: object, reference: t.Any, content: nodes.Element) -> nodes.reference | None:
    """A link for a reference that is not to this site; none for one that is simply wrong."""
    target = ANSIBLE_LABELS.get(reference["reftarget"])
    return nodes.reference("", "", content, refuri=target, internal=False) if target else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", link_to_ansible)


project = "bigfile.oci"
copyright = "the bigfile.oci founders"
author = "the bigfile.oci founders"
html_title = "bigfile.oci"

extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx_copybutton", "sphinx_design"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nitpicky = True
exclude_patterns = ["README.md"]
# A console block is what a person types after the prompt and what comes back; only the first is worth copying.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"

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
    "light_css_variables": {"color-brand-primary": "#0969da", "color-brand-content": "#0969da", "color-brand-visited": "#8250df"},
    "dark_css_variables": {"color-brand-primary": "#58a6ff", "color-brand-content": "#58a6ff", "color-brand-visited": "#bc8cff"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
