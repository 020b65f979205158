"""Brings a copy of the collection up to date, below the path that ansible wants collections to have.

The copy holds what git tracks or would offer to track, with symbolic links kept as links, and nothing else. It is a
repository of its own, without commits: tools ask git for the files to look at, and the repository around it, which
ignores everything that is made, would tell them that there are none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Not from the original: the copy's own repository, and what tools leave behind.
KEPT = (".git/", "tests/output/")


def wanted(root: Path) -> set[str]:
    listing = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        stdout=subprocess.PIPE,
    )
    names = os.fsdecode(listing.stdout).split("\0")
    return {name for name in names if name and os.path.lexists(root / name)}


def present(tree: Path) -> set[str]:
    names = set()
    for folder, folders, files in os.walk(tree):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        names.update(str((here / name).relative_to(tree)) for name in [*files, *links])
    return {name for name in names if not name.startswith(KEPT)}


def same(source: Path, target: Path) -> bool:
    if not os.path.lexists(target) or source.is_symlink() != target.is_symlink():
        return False
    if source.is_symlink():
        return os.readlink(source) == os.readlink(target)
    ours, theirs = source.stat(), target.stat()
    return (ours.st_size, ours.st_mtime_ns, ours.st_mode) == (theirs.st_size, theirs.st_mtime_ns, theirs.st_mode)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    shutil.copy2(source, target, follow_symlinks=False)


def drop_empty_folders(tree: Path) -> None:
    for folder, _folders, _files in os.walk(tree, topdown=False):
        inside = os.path.relpath(folder, tree)
        if not f"{inside}/".startswith(("./", *KEPT)) and not os.listdir(folder):
            os.rmdir(folder)


def main(root: Path, tree: Path) -> None:
    if not (tree / ".git").is_dir():
        subprocess.run(["git", "init", "--quiet", "--template=", str(tree)], check=True)
    names = wanted(root)
    for name in present(tree) - names:
        remove(tree / name)
    for name in sorted(names):
        if not same(root / name, tree / name):
            copy(root / name, tree / name)
    drop_empty_folders(tree)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
