"""Opens the port of the service in the firewall that rules on this host, or takes that back; prints what it did, in JSON.

    firewall.py [--check] [--port PORT [--source NETWORK]...]

Without a source the port is open to all, without a port the rules of earlier runs go. Only rules of our own are added and removed: nothing
is flushed, reloaded or switched on, and where no rule refuses anything none is made. Ours are known by a mark: in iptables and nftables a
comment, in firewalld, whose rules have none, a priority that nobody else has.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing as t

NAME = "oracle_assembler"
PRIORITY = 18443
"""In firewalld: after what others refuse, before what the zone does with the rest."""

IPTABLES_FILES = {4: ["/etc/iptables/rules.v4", "/etc/sysconfig/iptables"], 6: ["/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables"]}
NFTABLES_FILES = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"]
"""What is loaded at boot: on Debian and Ubuntu, and on Oracle Linux."""

Json = dict[str, t.Any]


class Opening(t.NamedTuple):
    """A port and who may reach it: a network, or "any"."""

    port: int
    source: str

    @property
    def version(self) -> int | None:
        """Of the source; None for both."""
        return None if self.source == "any" else ipaddress.ip_network(self.source).version

    @property
    def mark(self) -> str:
        """All that there is to know of it, so that two of one mark are the same."""
        return f"{NAME}:{self.port}:{self.source}"


class Change(t.NamedTuple):
    """What one firewall needs."""

    add: list[str]
    remove: list[str]


def openings(port: int | None, sources: list[str]) -> list[Opening]:
    """What is wanted, in the spelling that firewalls give back."""
    if port is None:
        return []
    return [Opening(port, source) for source in sorted({str(ipaddress.ip_network(source)) for source in sources}) or ["any"]]


# firewalld


def rich_rule(opening: Opening) -> str:
    """As firewalld lists it."""
    source = f'family="ipv{opening.version}" source address="{opening.source}" ' if opening.version else ""
    return f'rule priority="{PRIORITY}" {source}port port="{opening.port}" protocol="tcp" accept'


def firewalld_change(listed: str, wanted: list[Opening]) -> Change:
    """From what it lists to what is wanted."""
    ours = [
        line for line in listed.splitlines() if line.startswith(f'rule priority="{PRIORITY}" ') and line.endswith('protocol="tcp" accept')
    ]
    rules = [rich_rule(opening) for opening in wanted]
    return Change([rule for rule in rules if rule not in ours], [rule for rule in ours if rule not in rules])


# iptables: what iptables-save prints, and the files that bring it back at boot


def filter_table(saved: str) -> list[str]:
    """The lines of this table alone."""
    found = re.search(r"^\*filter\n(.*?)^COMMIT", saved, re.MULTILINE | re.DOTALL)
    return found[1].splitlines() if found else []


def iptables_refuses(table: list[str], chain: str = "INPUT") -> bool:
    """Whether the chain refuses whom it does not know; to refuse single sources, as fail2ban does, is not that."""
    if any(re.match(rf":{re.escape(chain)} DROP\b", line) for line in table):
        return True
    for rule in table:
        words = _words(rule)
        if words[:2] != ["-A", chain] or re.search(r"(?<!!) (-s|--src-range|--match-set) ", rule):
            continue
        target = next((words[place + 1] for place, word in enumerate(words) if word in ("-j", "-g")), "")
        if target in ("DROP", "REJECT") or iptables_refuses(table, target):
            return True
    return False


def iptables_rule(opening: Opening) -> str:
    """What comes after the name of the chain."""
    source = f"-s {opening.source} " if opening.version else ""
    return f"{source}-p tcp -m tcp --dport {opening.port} -m comment --comment {opening.mark} -j ACCEPT"


def iptables_change(saved: str, wanted: list[Opening]) -> Change:
    """From what is saved to what is wanted, where anything is refused."""
    table = filter_table(saved)
    if not iptables_refuses(table):
        wanted = []
    ours = {mark: rule for rule in table for mark in [_iptables_mark(rule)] if mark}
    marks = {opening.mark: opening for opening in wanted}
    add = [iptables_rule(opening) for mark, opening in marks.items() if mark not in ours]
    return Change(add, [re.sub(r"^.*?-A INPUT ", "", rule) for mark, rule in ours.items() if mark not in marks])


def iptables_saved(saved: str, wanted: list[Opening]) -> str:
    """A file of rules after the change. All but our lines stays as it is: what others have in force for now is not kept by us."""
    change = iptables_change(saved, wanted)
    lines = [line for line in saved.splitlines(keepends=True) if re.sub(r"^.*?-A INPUT ", "", line.rstrip("\n")) not in change.remove]
    start = lines.index("*filter\n") if change.add else 0
    place = next((number for number in range(start, len(lines)) if re.match(r"(\[.*?\] )?-A|COMMIT", lines[number])), start)
    return "".join([*lines[:place], *(f"-A INPUT {rule}\n" for rule in change.add), *lines[place:]])


def _words(rule: str) -> list[str]:
    try:
        return shlex.split(re.sub(r"^\[.*?\] ", "", rule), comments=True)
    except ValueError:
        return []


def _iptables_mark(rule: str) -> str | None:
    words = _words(rule)
    if words[:2] != ["-A", "INPUT"] or "--comment" not in words:
        return None
    comment = words[words.index("--comment") + 1]
    return comment if comment.startswith(f"{NAME}:") else None


# nftables: what it lists in JSON, and the file that is loaded at boot


class Chain(t.NamedTuple):
    """Where a rule stands."""

    family: str
    table: str
    name: str


class Ruleset:
    """All tables. A packet must pass each chain that decides on input, so our rule has to be in each that refuses."""

    def __init__(self, listed: Json, others: t.Container[Chain]) -> None:
        """``others``: chains that are left alone, since they are those of iptables."""
        chains = [entry["chain"] for entry in listed["nftables"] if "chain" in entry]
        rules = [entry["rule"] for entry in listed["nftables"] if "rule" in entry]
        self._chains: dict[Chain, Json] = {Chain(chain["family"], chain["table"], chain["name"]): chain for chain in chains}
        self._rules: list[tuple[Chain, Json]] = [(Chain(rule["family"], rule["table"], rule["chain"]), rule) for rule in rules]
        self._others = others

    def refusing(self) -> list[Chain]:
        """The chains that refuse whom they do not know."""
        return [chain for chain, told in self._chains.items() if _on_input(told) and chain not in self._others and self._refuses(chain)]

    def _refuses(self, chain: Chain) -> bool:
        if self._chains.get(chain, {}).get("policy") == "drop":
            return True
        for rule in [rule for place, rule in self._rules if place == chain]:
            if any(_names_sources(expression) for expression in rule["expr"]):
                continue
            told = list(_inside(rule["expr"]))
            targets = [value["target"] for name, value in told if name in ("jump", "goto")]
            if {"drop", "reject"} & {name for name, _value in told} or any(self._refuses(chain._replace(name=name)) for name in targets):
                return True
        return False

    def change(self, wanted: list[Opening]) -> Change:
        """From what is there to what is wanted, as commands of nft."""
        needed = [(chain, opening) for chain in self.refusing() for opening in wanted if _fits(chain, opening)]
        marks = {(chain, opening.mark) for chain, opening in needed}
        ours = [
            (chain, rule["comment"], rule["handle"])
            for chain, rule in self._rules
            if rule.get("comment", "").startswith(f"{NAME}:") and chain not in self._others
        ]
        present = {(chain, mark) for chain, mark, _handle in ours}
        return Change(
            [nftables_rule(chain, opening) for chain, opening in needed if (chain, opening.mark) not in present],
            [f"delete rule {' '.join(chain)} handle {handle}" for chain, mark, handle in ours if (chain, mark) not in marks],
        )


def nftables_rule(chain: Chain, opening: Opening) -> str:
    """The command that puts it at the head of the chain."""
    source = f"{'ip6' if opening.version == 6 else 'ip'} saddr {opening.source} " if opening.version else ""
    return f'insert rule {" ".join(chain)} {source}tcp dport {opening.port} accept comment "{opening.mark}"'


def nftables_saved(saved: str, chains: list[Chain], wanted: list[Opening]) -> str:
    """The file with our rules at its end. They name table and chain again: a file that has others one day must still load."""
    lines = [line for line in saved.splitlines(keepends=True) if not line.endswith(f"# {NAME}\n")]
    if chains and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for chain in chains:
        rules = [nftables_rule(chain, opening) for opening in wanted if _fits(chain, opening)]
        there = [f"add table {chain.family} {chain.table}", f"add chain {' '.join(chain)}"]
        lines += [f"{line} # {NAME}\n" for line in (*there, *rules) if rules]
    return "".join(lines)


def _on_input(chain: Json) -> bool:
    return chain.get("hook") == "input" and chain["type"] == "filter" and chain["family"] in ("inet", "ip", "ip6")


def _fits(chain: Chain, opening: Opening) -> bool:
    return opening.version is None or chain.family in ("inet", "ip6" if opening.version == 6 else "ip")


def _names_sources(expression: Json) -> bool:
    told = list(_inside(expression))
    return ("field", "saddr") in told and ("op", "!=") not in told


def _inside(node: t.Any) -> t.Iterator[tuple[str, t.Any]]:
    """All names with their values, however deep."""
    if isinstance(node, list):
        for each in node:
            yield from _inside(each)
    elif isinstance(node, dict):
        for name, value in node.items():
            yield name, value
            yield from _inside(value)


# The host


class Host:
    """Reads and changes its firewalls, or only says what it would change."""

    def __init__(self, wanted: list[Opening], check: bool) -> None:
        self.wanted = wanted
        self.check = check
        self.changes: list[str] = []
        self.opened: list[str] = []
        self.remarks: list[str] = []

    def open(self) -> None:
        """In firewalld where it runs, else in each of the others that refuses anything."""
        if _run(["firewall-cmd", "--state"]).returncode == 0:
            self.firewalld()
            return
        others = {Chain("ip6" if version == 6 else "ip", "filter", "INPUT") for version in (4, 6) if self.iptables(version)}
        self.nftables(others)

    def firewalld(self) -> None:
        """For now and for later, in the default zone. A reload would take away what others opened for now."""
        self.opened += ["firewalld"] if self.wanted else []
        for scope in ([], ["--permanent"]):
            change = firewalld_change(self.told(["firewall-cmd", *scope, "--list-rich-rules"]), self.wanted)
            for rule in change.add:
                self.change(["firewall-cmd", *scope, f"--add-rich-rule={rule}"])
            for rule in change.remove:
                self.change(["firewall-cmd", *scope, f"--remove-rich-rule={rule}"])

    def iptables(self, version: int) -> bool:
        """Whether the table is there and so its own program's."""
        program = "ip6tables" if version == 6 else "iptables"
        wanted = [opening for opening in self.wanted if opening.version in (None, version)]
        saved = _run([f"{program}-save"]).stdout
        change = iptables_change(saved, wanted)
        commands = [*(f"-I INPUT {rule}" for rule in reversed(change.add)), *(f"-D INPUT {rule}" for rule in change.remove)]
        if commands:
            self.change([f"{program}-restore", "--noflush", "--wait"], "\n".join(["*filter", *commands, "COMMIT\n"]))
        files = [path for path in IPTABLES_FILES[version] if os.path.exists(path)]
        for path in files:
            self.rewrite(path, iptables_saved(_read(path), wanted), [f"{program}-restore", "--test"])
        if wanted and iptables_refuses(filter_table(saved)):
            self.opened.append(program)
            if not files:
                self.remarks.append(f"No file brings the rules of {program} back after a reboot; keep ours as you keep the others.")
        return bool(filter_table(saved))

    def nftables(self, others: set[Chain]) -> None:
        """In all tables but those of iptables."""
        listed = _run(["nft", "--json", "list", "ruleset"])
        if listed.returncode != 0:
            return
        ruleset = Ruleset(json.loads(listed.stdout), others)
        chains = ruleset.refusing() if self.wanted else []
        change = ruleset.change(self.wanted)
        if change.add or change.remove:
            self.change(["nft", "-f", "-"], "\n".join([*reversed(change.add), *change.remove, ""]))
        loaded = _run(["systemctl", "is-enabled", "nftables.service"]).returncode == 0
        for path in filter(os.path.exists, NFTABLES_FILES):
            self.rewrite(path, nftables_saved(_read(path), chains if loaded else [], self.wanted), ["nft", "--check", "-f"])
        if chains:
            self.opened.append("nftables")
            if not loaded:
                self.remarks.append("The unit nftables is not enabled: if something else makes its rules at boot, let that make ours, too.")

    def told(self, command: list[str], given: str = "") -> str:
        """What a command prints, which has to go well."""
        done = _run(command, given)
        if done.returncode != 0:
            sys.exit(f"{shlex.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def change(self, command: list[str], given: str = "") -> None:
        self.changes.append(shlex.join(command) + (f"\n{given}" if given else ""))
        if not self.check:
            self.told(command, given)

    def rewrite(self, path: str, content: str, test: list[str]) -> None:
        """Replace a file by one that its program accepts, with all that the old one has of mode, owner and label."""
        if content == _read(path):
            return
        self.changes.append(f"write {path}")
        if self.check:
            return
        beside = f"{path}.{NAME}"
        with open(beside, "w", encoding="utf-8") as file:
            shutil.copystat(path, beside)
            os.chown(beside, os.stat(path).st_uid, os.stat(path).st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            self.told([*test, beside])
            os.replace(beside, path)
        finally:
            if os.path.exists(beside):
                os.unlink(beside)


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    """As done, whatever came of it; a program that is not there did not go well."""
    environment = {**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, env=environment, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--source", action="append", default=[])
    arguments = parser.parse_args()
    host = Host(openings(arguments.port, arguments.source), arguments.check)
    host.open()
    print(json.dumps({"changed": bool(host.changes), "changes": host.changes, "opened": host.opened, "remarks": host.remarks}))


if __name__ == "__main__":
    main()
