"""One network namespace, held by one thread of this process.

It has no name and no file: the kernel removes it, with its interfaces, when the thread is gone, even by kill -9.
Sockets made on the thread stay in the namespace wherever they are used; programs started on it run in it.
"""

import ctypes
import os
import queue
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from bastide.core.error import Unavailable

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_COMMAND_SECONDS = 60


class NamespacesUnavailable(Unavailable):
    code = "segmentation:namespaces:unavailable"


class Namespace:
    """A new namespace with ``lo`` up. ``close`` ends it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tid = 0
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"namespace-{name}", daemon=True)
        self._thread.start()
        try:
            self.run(self._enter)
            self.command(["ip", "link", "set", "lo", "up"])
        except BaseException:
            self.close()
            raise

    def run(self, what: Callable[[], T]) -> T:
        """Does something on the namespace's thread and waits for it."""
        done: Future[Any] = Future()

        def task() -> None:
            try:
                done.set_result(what())
            except BaseException as error:
                done.set_exception(error)

        self._tasks.put(task)
        found: T = done.result()
        return found

    def command(self, arguments: list[str], text: str = "") -> str:
        """Runs a program in the namespace; what it prints. ``NamespacesUnavailable`` with its words where it fails."""
        try:
            ended = self.run(
                lambda: subprocess.run(
                    arguments, input=text, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS
                )
            )
        except FileNotFoundError as error:
            raise NamespacesUnavailable(f"{arguments[0]} is not installed; it is needed to prove rules.") from error
        if ended.returncode:
            raise NamespacesUnavailable(f"{' '.join(arguments[:6])} failed: {ended.stderr.strip()[:400]}")
        return ended.stdout

    def set(self, name: str, value: int) -> None:
        """A network setting of the kernel (``net.ipv4.ip_forward``); /proc/sys/net is that of the thread that asks."""
        path = Path("/proc/sys") / name.replace(".", "/")
        try:
            self.run(lambda: path.write_text(f"{value}\n"))
        except OSError as error:
            raise NamespacesUnavailable(f"The setting {name} cannot be made: {error.strerror}.") from error

    def close(self) -> None:
        self._tasks.put(None)
        self._thread.join()

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            raise NamespacesUnavailable(
                f"A network namespace cannot be made: {reason}. Run this as root (it needs CAP_SYS_ADMIN, CAP_NET_ADMIN)."
            )
        self.tid = threading.get_native_id()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
