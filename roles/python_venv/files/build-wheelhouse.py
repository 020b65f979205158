"""Builds a wheelhouse on the controller: one archive with all that pip needs to install lock files on a host without an index.

    build-wheelhouse.py FOLDER PYTHON MACHINE GLIBC ARCHIVE PIP-ARGUMENT...

FOLDER has requirements.lock, which pins wheels, and may have sdists.lock, which pins what the index has as source only. pip itself
downloads for other platforms, but asks the markers of a lock file about the Python it runs on; so they are answered here. Source is
made into wheels here, so that the host builds nothing. The lock file in the archive has what is for the host, and the hashes of the
wheels that were made. The archive is whole or absent.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import typing as t
from pathlib import Path

OLDEST_GLIBC = 5  # manylinux1 is 2.5


def pip_command(folder: Path) -> list[str]:
    """How pip is run: by this Python, else by a virtual environment of it."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    venv = folder / "venv"
    if subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, check=False).returncode != 0:
        sys.exit(
            f"The controller's Python {sys.executable} has neither pip nor ensurepip; install python3-pip or python3-venv on the controller."
        )
    return [str(venv / "bin" / "python"), "-m", "pip"]


def applies(pip: list[str], markers: list[str], environment: dict[str, str]) -> list[bool]:
    """Which markers hold on the host; pip's own reading of them."""
    program = (
        "import json, sys; from pip._vendor.packaging.markers import Marker; markers, host = json.load(sys.stdin);"
        "print(json.dumps([not marker or Marker(marker).evaluate(host) for marker in markers]))"
    )
    done = subprocess.run([pip[0], "-c", program], input=json.dumps([markers, environment]), capture_output=True, text=True, check=True)
    return t.cast("list[bool]", json.loads(done.stdout))


def run(command: list[str], **environment: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    if done.returncode != 0:
        sys.exit(f"pip on the controller cannot provide the wheels: {(done.stderr or done.stdout).strip()[-2000:]}")


def build_sdists(pip: list[str], sdists: Path, house: Path, folder: Path, extra: list[str]) -> list[str]:
    """Make wheels of what ``sdists`` pins, into the house; lock entries for them.

    The house has the pip and the setuptools that do it, so no unchecked file is fetched for it, as an isolated build would.
    """
    tools, built = folder / "tools", folder / "built"
    wheels = [str(wheel) for name in ("pip", "setuptools") for wheel in house.glob(f"{name}-*.whl")]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", "--target", str(tools), *wheels])
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--require-hashes", "--no-binary", ":all:", "--wheel-dir", str(built)]
    run([*pip, "wheel", "--quiet", *options, "--requirement", str(sdists), *extra], PYTHONPATH=str(tools))
    entries = []
    for wheel in sorted(built.iterdir()):
        if not wheel.name.endswith("-py3-none-any.whl"):
            sys.exit(f"{wheel.name} is not pure Python: what the controller makes of this source does not fit other hosts.")
        name, version = wheel.name.split("-")[:2]
        entries.append(f"{name}=={version} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
        wheel.rename(house / wheel.name)
    return entries


def build(locks: Path, python: str, machine: str, glibc: str, archive: Path, extra: list[str], folder: Path) -> None:
    """Fill the archive, by way of an empty ``folder``."""
    pip = [*pip_command(folder), "--disable-pip-version-check", "--no-input"]
    lines = (locks / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [re.split(r"\s+(?=--hash=)", line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    heads = [head.partition(" ; ") for head, *_hashes in entries]
    environment = {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    wanted = applies(pip, [marker for _requirement, _semicolon, marker in heads], environment)
    newest = int(glibc.split(".")[1])
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(newest, OLDEST_GLIBC - 1, -1)]
    tags += [f"manylinux2014_{machine}", f"linux_{machine}"]
    platform = [word for tag in tags for word in ("--platform", tag)]
    target = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", environment["python_version"], *platform]

    house = folder / "wheelhouse"
    house.mkdir()
    kept = [" ".join([head[0], *entry[1:]]) for head, entry, keep in zip(heads, entries, wanted, strict=True) if keep]
    chosen = house / "requirements.lock"
    chosen.write_text("\n".join(kept) + "\n", encoding="utf-8")
    run([*pip, "download", "--quiet", "--no-deps", "--require-hashes", *target, "--dest", str(house), "--requirement", str(chosen), *extra])
    sdists = locks / "sdists.lock"
    if sdists.exists():
        kept += build_sdists(pip, sdists, house, folder, extra)
        chosen.write_text("\n".join(kept) + "\n", encoding="utf-8")

    beside = archive.with_name(f".{archive.name}.{os.getpid()}")
    with tarfile.open(beside, "w:gz") as tar:
        tar.add(house, "wheelhouse")
    beside.rename(archive)


def main(locks: str, python: str, machine: str, glibc: str, archive: str, *extra: str) -> None:
    os.umask(0o022)
    Path(archive).parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(locks), python, machine, glibc, Path(archive), list(extra), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
