"""Follows every link inside the finished site: links.py FOLDER. One that leads to no file, or to no place in it, is an error."""

from __future__ import annotations

import sys
import typing as t
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """A page's places, and where it points to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids = {"", "top"}
        self.links: list[str] = []
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name == "id":
                self.ids.add(value)
            elif value and name in ("href", "src"):
                self.links.append(value)


def dead(folder: Path) -> t.Iterator[str]:
    """What is wrong, one line for each link."""
    pages = {file: Page(file) for file in sorted(folder.rglob("*.html"))}
    for file, page in pages.items():
        for link in page.links:
            there = urlsplit(link)
            if there.scheme or there.netloc:
                continue
            target = (file.parent / unquote(there.path)).resolve() if there.path else file
            if not target.is_file():
                yield f"{file.relative_to(folder)}: {link} is not there"
            elif target in pages and unquote(there.fragment) not in pages[target].ids:
                yield f"{file.relative_to(folder)}: {link} names no place on that page"


if __name__ == "__main__":
    found = list(dead(Path(sys.argv[1]).resolve()))
    print("\n".join(found))
    sys.exit(bool(found))
