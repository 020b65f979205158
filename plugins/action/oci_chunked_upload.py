# Copyright (c) 2026, the bigfile.oci founders
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far an upload is while the module runs.

The module runs as any module does, so that its result, its keywords and its failures are what they are without this plugin. Beside it a thread asks the
target for the record of the run (see module_utils/_watch.py), over a connection of its own with the same options. To ask is to touch the watch file: the
run on the target ends when nobody does any more. Whatever goes wrong with the asking is kept from the task.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import threading
import time
import typing as t

from ansible import constants as C
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalActionModule
from ansible.plugins.loader import become_loader, connection_loader
from ansible.utils.display import Display

from ansible_collections.bigfile.oci.plugins.module_utils._progress import WATCH_FOLDER, WATCH_ID, Record, read

FIRST, LONGEST = 2.0, 30.0
"""Seconds between two looks: the first at once, then a tenth of the time that the upload takes already."""

STEP, SELDOM = 10, 60.0
"""Where no terminal is, a line comes with so many percent more, or after so many seconds."""

PARTING = 5.0
"""Seconds that a look under way gets when the module is done. After that it may go on, but says nothing."""

MACHINES = frozenset({"ansible.posix.json", "ansible.posix.jsonl", "json", "jsonl"})
"""Callbacks whose output is parsed; also by people who send standard error the same way."""

TERMINAL = sys.stderr.isatty()
"""Looked up when this file is loaded, as the control node's main process does. Its workers, in which tasks run, have no terminal."""

LOOK = f'f={WATCH_FOLDER}/watch-%s; touch -c "$f" && cat "$(cat "$f")"'
END = f'f={WATCH_FOLDER}/watch-%s; rm "$f" 2>/dev/null || {{ mkdir -p -m 700 {WATCH_FOLDER} && : >"$f"; }}'
"""A run that has not come to make its watch file finds one there, and ends."""


class ActionModule(NormalActionModule):
    """The module, with lines on standard error."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        wanted = str(self._task.args.get("progress", "auto")).lower()
        unwanted = wanted != "auto" and not boolean(wanted, strict=False)
        alone = unwanted or self._task.check_mode or self._task.async_val
        with contextlib.nullcontext() if alone else self._followed(self._speaker(wanted, task_vars or {})):
            result: dict[str, t.Any] = super().run(tmp, task_vars)  # type: ignore[no-untyped-call]
        return result

    def _speaker(self, wanted: str, task_vars: dict[str, t.Any]) -> t.Callable[[Record], None] | None:
        """What says a line; None when nothing is to be said."""
        named = not self._task.no_log
        if wanted == "auto" and (C.config.get_config_value("DEFAULT_STDOUT_CALLBACK") in MACHINES or not named):
            return None
        host = task_vars.get("inventory_hostname", "")
        if self._task.delegate_to:
            host = f"{host} -> {self._task.delegate_to}"
        return lambda record: say(record, host, named=named)

    @contextlib.contextmanager
    def _followed(self, speaker: t.Callable[[Record], None] | None) -> t.Iterator[None]:
        """The module runs inside."""
        watch_id = secrets.token_hex(16)
        environment = self._task.environment
        given = environment if isinstance(environment, list) else [environment]
        self._task.environment = [*given, {WATCH_ID: watch_id}]
        follower = Follower(self._asker(), watch_id, speaker)
        follower.start()
        try:
            yield
        except Exception:
            raise
        except BaseException:  # the time of the task is over; the run must not outlive it
            follower.end()
            raise
        finally:
            follower.stop()
            self._task.environment = environment

    def _asker(self) -> t.Callable[[str], str]:
        """What runs a shell command on the target, where the module runs and as its user; what that printed."""
        made: list[NormalActionModule] = []

        def ask(command: str) -> str:
            with contextlib.suppress(Exception):
                if not made:
                    made.append(self._other_hand())
                done = made[0]._low_level_execute_command(command, sudoable=True)
                return str(done["stdout"]) if done["rc"] == 0 else ""
            return ""

        return ask

    def _other_hand(self) -> NormalActionModule:
        """An action on a connection of its own: ours is in use, and not for two threads."""
        mine = self._connection
        connection = connection_loader.get(
            self._play_context.connection,
            self._play_context,
            new_stdin=None,
            task_uuid=self._task._uuid,
            ansible_playbook_pid=str(os.getppid()),
        )
        if mine.become is not None:
            connection.set_become_plugin(become_loader.get(mine.become.name))
        for ours, theirs in ((mine, connection), (mine._shell, connection._shell), (mine.become, connection.become)):
            for name, value in ours.get_options().items() if ours is not None else ():
                theirs.set_option(name, value)
        return NormalActionModule(
            task=self._task,
            connection=connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )


class Follower(threading.Thread):
    """Looks after a run.

    :param ask: runs a command on the target; what it printed, nothing if it failed
    :param speaker: says a record, None to say nothing
    """

    def __init__(
        self,
        ask: t.Callable[[str], str],
        watch_id: str,
        speaker: t.Callable[[Record], None] | None,
        *,
        terminal: bool = TERMINAL,
        clock: t.Callable[[], float] = time.monotonic,
        parent: t.Callable[[], int] = os.getppid,
    ) -> None:
        super().__init__(name="follower", daemon=True)
        self._ask = ask
        self._watch_id = watch_id
        self._speaker = speaker
        self._terminal = terminal
        self._clock = clock
        self._parent = parent
        self._family = parent()
        self._begun = clock()
        self._over = threading.Event()
        self._speaking = threading.Lock()
        self._said: tuple[float, int] | None = None

    def pause(self) -> float:
        """Seconds until the next look."""
        return min(LONGEST, max(FIRST, (self._clock() - self._begun) / 10))

    def run(self) -> None:
        """See Thread."""
        while not self._over.wait(self.pause()):
            if self._parent() != self._family:  # the control node's main process was killed
                self.end()
                return
            self._hear(read(self._ask(LOOK % self._watch_id)))

    def _hear(self, record: Record | None) -> None:
        with self._speaking:
            if record is not None and self._speaker is not None and not self._over.is_set() and self._is_due(record):
                self._said = (self._clock(), record.percent)
                self._speaker(record)

    def _is_due(self, record: Record) -> bool:
        if self._terminal or self._said is None:
            return True
        when, percent = self._said
        return self._clock() - when >= SELDOM or record.percent // STEP > percent // STEP

    def end(self) -> None:
        """Tell the run to end."""
        self._ask(END % self._watch_id)

    def stop(self) -> None:
        """Look no more. What is said holds a lock that all workers share, so no word may be under way when this one goes."""
        with self._speaking:
            self._over.set()
        self.join(PARTING)


def say(record: Record, host: str, *, named: bool) -> None:
    """One line on standard error, whole whatever other hosts say; standard output belongs to the callback."""
    color = C.config.get_config_value("COLOR_WARN") if record.state == "retrying" else None
    Display().display(f"{record.state}: [{host}] => {record.text(named=named)}", color=color, stderr=True)
