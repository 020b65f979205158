"""Puts the pages of the site together: gather.py ROOT SITE.

The pages are those that are read on GitHub too, so their links are relative to where they lie in the repository. Here a link to
another page becomes a link inside the site, a link to any other file one to GitHub, and a link to nothing ends the build.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import typing as t
from pathlib import Path

import rest

GITHUB = "https://github.com/bigfile-oci/bigfile.oci/blob/main"
LINK = re.compile(r"(\]\()(?![a-z]+:)([^)#\s]+)")

MORE = "@more@"


def pages(root: Path) -> dict[str, str]:
    """Every page, by its place in the repository: its place in the site."""
    found = {f"docs/{path.name}": path.name for path in (root / "docs").glob("*.md")}
    # The page of a role is made from its argument specs.
    roles = {f"roles/{path.name}/README.md": f"collection/{path.name}_role.rst" for path in (root / "roles").iterdir()}
    return {**found, **roles, "CONTRIBUTING.md": "contributing.md"}


def relinked(text: str, page: str, *, root: Path, site: t.Mapping[str, str]) -> str:
    """The text of a page with its links as the site needs them."""

    def replaced(link: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(page), link[2]))
        if target in site:
            return link[1] + os.path.relpath(site[target], os.path.dirname(site[page]))
        if not (root / target).exists():
            raise SystemExit(f"{page}: the link to {link[2]} leads nowhere")
        inside = target.startswith("docs/") and (root / target).is_file()
        return link[1] + (target.removeprefix("docs/") if inside else f"{GITHUB}/{target}")

    return LINK.sub(replaced, text)


def unlisted(index: str, places: t.Iterable[str]) -> str:
    """The front page, with the pages that it does not name where it has room for more: a new page needs no entry."""
    names = (place.removesuffix(".md") for place in sorted(places) if place.endswith(".md"))
    return index.replace(MORE, "\n".join(name for name in names if not re.search(rf"^{name}$", index, re.MULTILINE)))


def outdated(pictures: Path) -> list[str]:
    """The pictures that were not drawn from the text beside them."""
    texts = {text: hashlib.sha256(text.read_bytes()).hexdigest() for text in sorted(pictures.glob("*.d2"))}
    return [text.stem for text, digest in texts.items() if digest not in text.with_suffix(".svg").read_text()]


def main(root: Path, folder: Path) -> None:
    """Fill the folder with all pages, but for those that antsibull-docs makes."""
    if old := outdated(root / "docs" / "pictures"):
        raise SystemExit(f"older than their texts: {', '.join(old)}. Run tests/gates/pictures.")
    shutil.copytree(root / "docs", folder, ignore=shutil.ignore_patterns("*.md", "site", "*.d2"))
    shutil.copytree(root / "docs" / "site", folder, ignore=shutil.ignore_patterns("*.py", "draw"), dirs_exist_ok=True)
    shutil.copy(root / "docs" / "site" / "conf.py", folder)
    site = pages(root)
    for page, place in site.items():
        if place.endswith(".md"):
            (folder / place).write_text(relinked((root / page).read_text(), page, root=root, site=site))
    index = folder / "index.md"
    index.write_text(unlisted(index.read_text(), site.values()))
    (folder / "rest.md").write_text(rest.page(root / "docs" / "openapi.json"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
