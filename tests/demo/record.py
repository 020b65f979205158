"""Makes a picture of the lines that tell how far an upload is: a real service, a real playbook, a real terminal (tmux)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ansible_collections.bigfile.oci.tests.integration.conftest import Client, MiB, Service, make_file
from ansible_collections.bigfile.oci.tests.integration.test_roundtrip_ansible import BIN, control_environment

COLUMNS, ROWS = 118, 40
SIZE, RATE = 200 * MiB, "{{ {'db1': '12M', 'db2': '18M', 'db3': '25M'}[inventory_hostname] }}"
SHOWN = "ansible-playbook export.yml"


def play(folder: Path) -> Path:
    """Three hosts that send a file each."""
    options = {"src": str(folder / "sales.dmp"), "dest": "dumps/{{ inventory_hostname }}.dmp", "part_size": "8M", "rate_limit": RATE}
    tasks = [{"name": "Bring the exports to the warehouse", "bigfile.oci.oci_chunked_upload": options}]
    book = folder / "export.yml"
    book.write_text(json.dumps([{"name": "Exports", "hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}]))
    return book


class Terminal:
    """A window of a tmux server of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._words = ["tmux", "-S", str(folder / "tmux")]
        self._environment = environment

    def call(self, *words: str) -> str:
        return subprocess.run([*self._words, *words], check=True, capture_output=True, text=True, env=self._environment).stdout

    def screen(self) -> str:
        """What stands on it, with its colours."""
        return self.call("capture-pane", "-e", "-p").rstrip()

    def run(self, script: Path) -> str:
        """Run a script to its end; the last screen."""
        self.call("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), f"sh {script}; sleep 60")
        try:
            for _second in range(120):
                time.sleep(1)
                if re.search(r"^db3 +: ok=", self.call("capture-pane", "-p"), re.MULTILINE):
                    time.sleep(1)
                    return self.screen()
        finally:
            self.call("kill-server")
        raise TimeoutError("the playbook does not end")


def picture(screen: str) -> str:
    """The screen as SVG, without fonts from elsewhere."""
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(screen))
    svg = console.export_svg(title=SHOWN, unique_id="progress")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        service = Service(folder / "service").start()
        try:
            client = Client(folder / "client", service)
            make_file(folder / "sales.dmp", SIZE)
            script = folder / "script"
            script.write_text(f"printf '$ {SHOWN}\\n'; exec {BIN / 'ansible-playbook'} -i db1,db2,db3, {play(folder)}\n")
            environment = control_environment(client, ANSIBLE_NOCOLOR="", TERM="xterm-256color")
            environment = {name: value for name, value in environment.items() if name not in ("ANSIBLE_NOCOLOR", "NO_COLOR")}
            screen = Terminal(folder, environment).run(script)
        finally:
            service.stop()
    target.write_text(picture(screen), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
