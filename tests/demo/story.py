"""The demonstration: what a user does and sees, from an empty folder to a resumed upload.

Builds and installs the collection as a user would get it, deploys the service through the role, interrupts an upload with SIGKILL and
runs it again. Each step checks what it claims; the first that does not hold ends the demonstration with an error.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing as t
import urllib.request
from pathlib import Path

MIB = 1 << 20
BUILD = Path(os.environ["BIGFILE_BUILD"])
DEMO = BUILD / "demo"
QUICKSTART = DEMO / "quickstart"
SAMPLE_SIZE = 256 * MIB
PARTS_WANTED = 32
SMALLEST = 20 * MIB
"""A part has 5 MiB at least: a smaller file has too few of them to be interrupted in between."""


class Disproved(Exception):
    """A step did not show what it claims."""


def check(holds: bool, claim: str, *evidence: object) -> None:
    if not holds:
        raise Disproved(f"This does not hold: {claim}. " + " ".join(map(str, evidence)))


def say(text: str = "") -> None:
    print(text, flush=True)


def mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


class Step:
    """Announces a step and tells how long it took."""

    number = 0

    def __init__(self, title: str) -> None:
        self.title = title

    def __enter__(self) -> None:
        Step.number += 1
        say(f"\n{Step.number}. {self.title}")
        self.begun = time.monotonic()

    def __exit__(self, *unused: object) -> None:
        say(f"   ({time.monotonic() - self.begun:.1f} s)")


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(DEMO / "collections"),
        "ANSIBLE_REMOTE_TEMP": str(DEMO / "tmp"),  # else in the home folder that /etc/passwd names, whatever HOME is
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "BIGFILE_JOURNAL": str(DEMO / "journal.db"),
        **more,
    }


def run(*command: str | Path, log: str) -> None:
    """Run a command that has to succeed; its output goes to a log, the end of which is shown when it fails."""
    path = DEMO / "logs" / f"{log}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as output:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(), check=False).returncode
    if status:
        say("\n".join(path.read_text(errors="replace").splitlines()[-40:]))
    check(status == 0, f"{shlex.join(map(str, command[:3]))} succeeds", f"The whole output is in {path}.")


def install_collection() -> None:
    """Build the package and install it, as from Galaxy: nothing of the checkout itself is used from here on."""
    for folder in ("dist", "collections"):
        shutil.rmtree(DEMO / folder, ignore_errors=True)
    tree = BUILD / "tree" / "ansible_collections" / "bigfile" / "oci"
    run("ansible-galaxy", "collection", "build", "--output-path", DEMO / "dist", tree, log="build")
    (package,) = (DEMO / "dist").glob("bigfile-oci-*.tar.gz")
    run("ansible-galaxy", "collection", "install", "--offline", "-p", DEMO / "collections", package, log="install")
    say(f"   {package.name}, {package.stat().st_size // 1024} KiB")


def port() -> int:
    """A free port, and the same one when the demonstration is run again."""
    kept = DEMO / "port"
    if not kept.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            kept.write_text(str(probe.getsockname()[1]))
    return int(kept.read_text())


class Service:
    """The deployed service, seen from outside, past our own client."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{port()}"
        self.password = (QUICKSTART / "password").read_text().strip()
        self.data = QUICKSTART / "service" / "data" / "quickstart"
        self.token = str(self._call("/v1/token", {"username": "quickstart", "password": self.password})["token"])

    def _call(self, route: str, body: object = None, **headers: str) -> dict[str, t.Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + route, data, {"Content-Type": "application/json", **headers})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return t.cast("dict[str, t.Any]", json.load(answer))

    def parts_received(self, path: str) -> tuple[int, int]:
        """How many parts of the pending upload to ``path`` are there, and how many it has; zeros when there is none."""
        uploads = self._call("/v1/uploads", Authorization=f"Bearer {self.token}")["uploads"]
        for upload in uploads:
            if upload["path"] == path and upload["state"] == "receiving":
                return sum(last - first + 1 for first, last in upload["received"]), upload["parts"]
        return 0, 0


class Upload:
    """The ad-hoc call that uploads a file, as a user types it."""

    def __init__(self, service: Service, **options: object) -> None:
        words = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in options.items())
        self.command = ["ansible", "localhost", "-m", "bigfile.oci.oci_chunked_upload", "-a", words]
        self.environment = environment(BIGFILE_ENDPOINT=service.url, BIGFILE_USERNAME="quickstart", BIGFILE_PASSWORD=service.password)

    def start(self) -> subprocess.Popen[str]:
        say(f"   $ {shlex.join(self.command)}")
        return subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment
        )

    def result(self) -> dict[str, t.Any]:
        """Run it to its end, which has to be a good one."""
        process = self.start()
        output = process.communicate()[0]
        check(process.returncode == 0, "the upload succeeds", output)
        answer = re.split(r"^localhost \| \w+ => ", output, maxsplit=1, flags=re.MULTILINE)[1]  # behind the lines that tell how far it is
        return t.cast("dict[str, t.Any]", json.loads(answer))


def family(pid: int) -> list[int]:
    """A process and all below it. Ansible's workers are sessions of their own, so a signal to the process group misses them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def interrupt(service: Service, upload: Upload, dest: str) -> int:
    """Start the upload and kill it, with all of its processes, when about a third of the parts is there; how many are."""
    process = upload.start()
    received = parts = 0
    while not (parts and received >= parts * 0.3):
        if process.poll() is not None:
            raise Disproved(f"The upload ended before it could be interrupted: {process.communicate()[0]}")
        time.sleep(0.05)
        received, parts = service.parts_received(dest)
    doomed = family(process.pid)
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    process.communicate()

    time.sleep(1)  # a request that was under way ends in the service
    received, parts = service.parts_received(dest)
    time.sleep(1)
    check(service.parts_received(dest) == (received, parts), "nobody goes on sending after the SIGKILL")
    check(0 < received < parts, "it was killed in mid-upload", f"{received} of {parts} parts are there.")
    check(not (service.data / dest).exists(), "nothing is published yet")
    say(f"   SIGKILL to {len(doomed)} processes. {received} of {parts} parts are on the server, nothing is published.")
    return received


def resume(upload: Upload, received: int) -> None:
    result = upload.result()
    check(result["changed"] and result["resumed"], "the second run resumes", result)
    check(result["parts_present"] >= received > 0, "what the server had is used", result)
    check(result["parts_sent"] == result["parts"] - result["parts_present"], "only what was missing is sent", result)
    say(
        f"   Resumed: {result['parts_present']} of {result['parts']} parts were there, {result['parts_sent']} were sent:\n"
        f"   {mib(result['bytes_sent'])} in {result['duration']:.1f} s, {mib(result['rate'])} a second, "
        f"{'encrypted' if result['encrypted'] else 'not encrypted'}."
    )


def compare(source: Path, published: Path) -> None:
    lines = subprocess.run(["sha256sum", source, published], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for line in lines:
        say(f"   {line}")
    check(len({line.split()[0].lstrip("\\") for line in lines}) == 1, "source and published file are the same")
    check(source.stat().st_size == published.stat().st_size, "they have the same size")


def repeat(upload: Upload) -> dict[str, t.Any]:
    result = upload.result()
    check(result["changed"] is False and result["parts_sent"] == 0 and result["bytes_sent"] == 0, "the third run changes nothing", result)
    say(f"   changed: false. Nothing was sent; it took {result['duration']:.1f} s.")
    return result


def source_file() -> Path:
    """The user's file, or a new one of random bytes."""
    if os.environ.get("SRC"):
        source = Path(os.environ["SRC"]).resolve()
        check(source.is_file(), "SRC is a file", source)
        check(source.stat().st_size >= SMALLEST, f"SRC has {SMALLEST // MIB} MiB at least, to be interrupted between two parts", source)
    else:
        source = DEMO / "random.bin"
        with source.open("wb") as file:
            for _block in range(SAMPLE_SIZE // MIB):
                file.write(os.urandom(MIB))
    say(f"   {source}, {mib(source.stat().st_size)}")
    return source


def story() -> None:
    DEMO.mkdir(parents=True, exist_ok=True)
    with Step("Build the collection and install the package"):
        install_collection()
    with Step("Deploy the service on this machine, without root: ansible-playbook bigfile.oci.quickstart"):
        run(
            "ansible-playbook", "bigfile.oci.quickstart", "-e", f"quickstart_dir={shlex.quote(str(QUICKSTART))}",
            "-e", f"quickstart_port={port()}", log="deploy",
        )  # fmt: skip
        service = Service()
        say(f"   It answers at {service.url}")
    with Step("A file to upload, and no trace of it on the service"):
        source = source_file()
        Upload(service, state="absent", dest=source.name).result()

    dest, size = source.name, source.stat().st_size
    options: dict[str, object] = {"src": source, "split": PARTS_WANTED}
    with Step("Upload it, slowly, and interrupt it"):
        received = interrupt(service, Upload(service, **options, rate_limit=size // 8), dest)
    with Step("The same again: it goes on where it was interrupted"):
        resume(Upload(service, **options), received)
    with Step("Compare what is published with the source"):
        compare(source, service.data / dest)
    with Step("Once more: there is nothing to do"):
        receipt = repeat(Upload(service, **options))

    say("\nReceipt")
    say(f"   {receipt['path']}: {receipt['size']} bytes ({mib(receipt['size'])}), whole and verified")
    say(f"   {receipt['url']}")
    say(f"   SHA-256 {receipt['sha256']}")


def farewell() -> None:
    control = QUICKSTART / "service" / "control"
    if control.exists():
        say(f"\nThe service runs on. Stop it:    {os.path.relpath(control)} stop")
    say("Stop it and remove everything:   tests/demo/run clean")


def main() -> int:
    begun = time.monotonic()
    try:
        story()
    except Disproved as error:
        say(f"\nThe demonstration FAILED. {error}")
        farewell()
        return 1
    say(f"\nAll of it took {time.monotonic() - begun:.0f} s.")
    farewell()
    return 0


if __name__ == "__main__":
    sys.exit(main())
