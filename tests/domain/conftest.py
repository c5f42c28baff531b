"""The rules touch nothing, and while they are tested the interpreter says so.

Import contracts keep I/O modules out of the rules, but cannot see the builtin ``open`` or what a library does underneath.
An audit hook (PEP 578) can: while a test of this folder runs, a file, socket or process that a rule asks for fails the test.
What the test itself reads (real data), and what importing, compiling (numba) or hypothesis do, is not the rule's doing.
"""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

FORBIDDEN = {
    "open",
    "os.listdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.scandir",
    "os.system",
    "socket.__new__",
    "socket.connect",
    "socket.getaddrinfo",
    "sqlite3.connect",
    "subprocess.Popen",
}
RULES = tuple(f"bastide.{area}" for area in ("core", "wire", "device", "network", "operations", "governance"))
NOT_THE_RULES_DOING = {
    "importlib",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "hypothesis",
    "llvmlite",
    "numba",
}


class Impure(Exception):
    """A rule touched the world."""


_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or event not in FORBIDDEN:
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in NOT_THE_RULES_DOING:
            return
        if module.startswith(RULES):
            raise Impure(f"{module}.{frame.f_code.co_name} asked for {event}{arguments!r}; rules do no I/O")
        frame = frame.f_back


sys.addaudithook(_watch)  # cannot be taken away again, hence the switch


@pytest.fixture(autouse=True)
def _rules_touch_nothing() -> Iterator[None]:
    global _watching
    _watching = True
    try:
        yield
    finally:
        _watching = False
