"""One process group: children that are started in order, brought back with back-off, and stopped together.

- A child says on a pipe of its own (``BASTIDE_READY_FD``) how far it is, one word a line; the last word is ``READY``.
- While starting, a child that ends stops everything: its last words say why. Later it is brought back.
- Every child gets SIGTERM when the supervisor dies, however it dies (PR_SET_PDEATHSIG), and holds the lock file open, so
  that a new supervisor can wait until the last child of a killed one is gone.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bastide.core.error import BastideError

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
# A child that stood this long is well again: the next end is the first one.
WELL_AFTER_S = 20.0
STOP_PATIENCE_S = 10.0
START_PATIENCE_S = 30.0
MAX_LOG_BYTES = 16 * 1024 * 1024
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class StartFailed(BastideError):
    """A child did not come up."""

    code = "up:start"


@dataclass(frozen=True, slots=True)
class Child:
    """What to run. ``ready`` is asked where the program cannot write to the pipe (nats-server); one that ``speaks`` to the
    person keeps the terminal for what it prints."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    speaks: bool = False


class Supervisor:
    """Runs children. ``say`` prints one line for the person who watches."""

    def __init__(self, logs: Path, lock: int, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._logs = logs
        self._lock = lock
        self._environment = environment
        self._say = say
        self._stopping = asyncio.Event()
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._order: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._words: dict[tuple[str, str], asyncio.Event] = {}

    def stop(self) -> None:
        """Asks for the end; :meth:`run` then returns."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def start(self, child: Child, until: str = "READY") -> None:
        """Starts a child and waits until it says ``until``. ``StartFailed`` with its last words where it ends before."""
        first = asyncio.create_task(self._once(child))
        await self.reached(child, until, first)
        self._tasks.append(asyncio.create_task(self._keep(child, first)))

    async def reached(self, child: Child, word: str, ending: "asyncio.Task[int] | None" = None) -> None:
        """Waits until the child has said ``word``."""
        said = asyncio.create_task(self._event(child.name, word).wait())
        stop = asyncio.create_task(self._stopping.wait())
        waited: set[asyncio.Task[object]] = {said, stop} | ({ending} if ending else set())
        done, _ = await asyncio.wait(waited, timeout=START_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        said.cancel()
        stop.cancel()
        if said in done:
            return
        if self._stopping.is_set():
            raise StartFailed("Stopped while starting.", code="up:stopped")
        why = self._last_words(child)
        if ending is not None and ending in done:
            raise StartFailed(why or f"The {child.name} ended with status {ending.result()}; see {self._log(child)}.")
        raise StartFailed(
            f"The {child.name} was not ready within {START_PATIENCE_S:g} s; see {self._log(child)}. {why}".strip()
        )

    def restart(self, name: str) -> None:
        """Ends a child where it stands; it is brought back as after any other end."""
        process = self._running.get(name)
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()

    async def run(self) -> None:
        """Until :meth:`stop`; then every child is stopped, the last one started first."""
        await self._stopping.wait()
        for task in self._tasks:
            task.cancel()
        for name in reversed(self._order):
            process = self._running.get(name)
            if process is None or process.returncode is not None:
                continue
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_PATIENCE_S)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, child: Child, ending: "asyncio.Task[int]") -> None:
        """Brings the child back each time it ends."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_S
        while True:
            started = loop.time()
            status = await ending
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE_S if loop.time() - started > WELL_AFTER_S else min(pause * 2, LONGEST_PAUSE_S)
            words = self._last_words(child) if status == 2 else ""
            self._say(f"The {child.name} ended ({_ended(status)}); bringing it back in {pause:g} s. {words}".rstrip())
            await asyncio.sleep(pause)
            ending = asyncio.create_task(self._once(child))

    async def _once(self, child: Child) -> int:
        """One life of a child; gives its exit status."""
        reading, writing = os.pipe()
        log = self._open_log(child)
        try:
            process = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=None if child.speaks else log,
                stderr=log,
                env={**self._environment, **child.environment, "BASTIDE_READY_FD": str(writing)},
                pass_fds=(writing, self._lock),
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            os.close(reading)
            raise StartFailed(f"The {child.name} cannot be started ({child.command[0]}): {error.strerror}.") from error
        finally:
            os.close(writing)
            os.close(log)
        self._running[child.name] = process
        if child.name not in self._order:
            self._order.append(child.name)
        for (name, _), event in self._words.items():
            if name == child.name:
                event.clear()
        listening = asyncio.create_task(self._listen(child, reading))
        try:
            return await process.wait()
        except asyncio.CancelledError:
            raise
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def _listen(self, child: Child, reading: int) -> None:
        """Notes each word that the child says, until it closes the pipe; or asks, where the child cannot speak."""
        if child.ready is not None:
            os.close(reading)
            while not child.ready():  # noqa: ASYNC110 (nothing tells us; the port has to be asked)
                await asyncio.sleep(0.02)
            self._event(child.name, "READY").set()
            return
        stream = asyncio.StreamReader()
        file = os.fdopen(reading, "rb", 0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), file
        )
        try:
            while line := await stream.readline():
                self._event(child.name, line.decode(errors="replace").strip()).set()
        finally:
            transport.close()

    def _event(self, name: str, word: str) -> asyncio.Event:
        return self._words.setdefault((name, word), asyncio.Event())

    def _log(self, child: Child) -> Path:
        return self._logs / f"{child.name}.log"

    def _open_log(self, child: Child) -> int:
        path = self._log(child)
        with suppress(FileNotFoundError):
            if path.stat().st_size > MAX_LOG_BYTES:
                path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _last_words(self, child: Child) -> str:
        """What the child said last in its log, as far as it is one readable line."""
        try:
            with self._log(child).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 4096))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:500] if lines else ""


def _die_with_parent() -> None:
    """Runs in the child before its program: SIGTERM when the supervisor dies; Ctrl-C is the supervisor's to handle."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setpgid(0, 0)


def _ended(status: int) -> str:
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def watch_signals(supervisor: Supervisor, signals: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)) -> None:
    """Ctrl-C and SIGTERM ask for the end."""
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
