"""Runs a module of Python as ``python -m`` would, in a world in which something is wrong.

    launch.py '{"skew": 600}' oracle_assembler --config FILE serve

Knows nothing of pytest and changes nothing but its own process: the code under test has no hooks.

- ``preload``: a module to import before anything is changed.
- ``skew``: the clock is so many seconds off.
- ``no_names``: so many look-ups of names fail.
- ``crash``: SIGKILL at a step, ``package.module:function`` with ``before`` or ``after`` and which call of it: ``os:rename after 3``.
- ``fail``: a step as for ``crash`` that raises an OSError, ``os:fsync before 3 EIO``, from that call on.
- ``trace``: a file to which each call of these steps is written, one a line.
"""

from __future__ import annotations

import builtins
import errno
import functools
import importlib
import itertools
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
import typing as t


def skew(seconds: float) -> None:
    """Set the clock of this process wrong."""
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + seconds
    time.time_ns = lambda: real_ns() + int(seconds * 1e9)


def no_names(count: int) -> None:
    """Let look-ups of names fail for a while."""
    left, real = itertools.count(count, -1), socket.getaddrinfo

    def look_up(*arguments: t.Any, **options: t.Any) -> t.Any:
        if next(left) > 0:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(*arguments, **options)

    socket.getaddrinfo = look_up


def crash(step: str) -> None:
    """Die at a step."""
    name, when, number = step.split(" ")
    goal, calls, lock = int(number), itertools.count(1), threading.Lock()

    def stepping(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        @functools.wraps(function)
        def step_by_step(*arguments: t.Any, **options: t.Any) -> t.Any:
            with lock:
                due = next(calls) == goal
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step_by_step

    _wrap(name, stepping)


def fail(step: str) -> None:
    """Let a step fail, and each after it."""
    name, _when, number, code = step.split(" ")
    calls, value = itertools.count(1), getattr(errno, code)

    def failing(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        @functools.wraps(function)
        def fail_by_step(*arguments: t.Any, **options: t.Any) -> t.Any:
            if next(calls) >= int(number):
                raise OSError(value, os.strerror(value))
            return function(*arguments, **options)

        return fail_by_step

    _wrap(name, failing)


def trace(steps: t.Sequence[str], path: str) -> None:
    """Write down each call of these steps."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    write = os.write

    def noting(name: str, function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        @functools.wraps(function)
        def noted(*arguments: t.Any, **options: t.Any) -> t.Any:
            write(descriptor, f"{name}\n".encode())
            return function(*arguments, **options)

        return noted

    for name in steps:
        _wrap(name, functools.partial(noting, name))


def _wrap(name: str, wrapper: t.Callable[[t.Callable[..., t.Any]], t.Callable[..., t.Any]]) -> None:
    """Put a wrapper around a function or method, in each module that has it by name."""
    module_name, _colon, path = name.partition(":")
    owner: t.Any = importlib.import_module(module_name)
    *owners, attribute = path.split(".")
    for step in owners:
        owner = getattr(owner, step)
    original = getattr(owner, attribute)
    wrapped = wrapper(original)
    setattr(owner, attribute, wrapped)
    for module in list(sys.modules.values()):
        for known, value in list(vars(module).items()) if module is not builtins else []:
            if value is original:
                setattr(module, known, wrapped)


def main() -> None:
    """Set the world wrong, then run the module."""
    wrong = json.loads(sys.argv[1])
    words = sys.argv[2:]
    if words[1:2] == ["-m"]:  # a whole command, such as the integration tests start
        words = words[2:]
    sys.argv = words
    if "preload" in wrong:
        importlib.import_module(wrong["preload"])
    if wrong.get("skew"):
        skew(wrong["skew"])
    if wrong.get("no_names"):
        no_names(wrong["no_names"])
    if wrong.get("trace"):
        trace(wrong["steps"], wrong["trace"])
    if wrong.get("fail"):
        fail(wrong["fail"])
    if wrong.get("crash"):
        crash(wrong["crash"])
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
