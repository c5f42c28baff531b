"""Bastide as a person starts it: the command `bastide up` on free ports with a data directory of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

COMMAND = Path(sys.executable).with_name("bastide")
START_PATIENCE_S = 60.0
STOP_PATIENCE_S = 30.0
# What each child's command line holds; the longer name first, since one begins with the other.
CHILDREN = {
    "ingest": "bastide.controller.workers.ingest",
    "controller": "bastide.controller",
    "signer": "bastide.signer",
    "broker": "nats-server",
    "demo": "bastide.demo",
}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def environment(data: Path, ports: Mapping[str, int] | None = None, **more: str) -> dict[str, str]:
    """The environment of a command: ours without Bastide's settings, and those of this instance."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BASTIDE_")}
    told = {f"BASTIDE_{name.upper()}": str(port) for name, port in (ports or {}).items()}
    return {**inherited, **told, **more, "BASTIDE_DATA": str(data)}


class Bastide:
    """One installation: :meth:`start` and :meth:`stop` it as often as needed; the ports stay the same."""

    def __init__(self, data: Path, prefix: tuple[str, ...] = (), settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self._prefix = prefix  # what runs the commands: a program that puts them into a network namespace
        self._settings = dict(settings or {})  # more BASTIDE_… of the environment
        names = ("console_port", "device_port", "mqtt_port", "nats_port")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *options: str, patience_s: float = START_PATIENCE_S) -> float:
        """Starts it and waits until it says that it is ready: the seconds that took."""
        began = time.monotonic()
        first = len(self.lines)
        self._process = subprocess.Popen(
            [*self._prefix, COMMAND, "up", *options],
            env=environment(self.data, self.ports, **self._settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        ready = until(lambda: self.said("Bastide is ready", first) or not self.running, patience_s)
        if not ready or not self.said("Bastide is ready", first):
            said = "\n".join(self.lines[first:])
            self.stop()
            raise AssertionError(f"bastide up did not get ready in {patience_s:.0f} s:\n{said}\n{self.logs()}")
        return time.monotonic() - began

    def said(self, text: str, since: int = 0) -> bool:
        return any(text in line for line in self.lines[since:])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to stop and waits for the end of all of it: the exit status."""
        assert self._process is not None
        if self.running:
            self._process.send_signal(how)
        try:
            status = self._process.wait(STOP_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            if self._reader is not None:
                self._reader.join(10)
            if self._process.stdout is not None:
                self._process.stdout.close()
        return status

    def reap(self) -> None:
        """After the supervisor was killed: waits for it, so that it can be started again."""
        assert self._process is not None
        self._process.wait(STOP_PATIENCE_S)
        if self._reader is not None:
            self._reader.join(STOP_PATIENCE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def children(self) -> dict[str, int]:
        """The processes of this installation by name, whoever their parent is: those that name its data directory."""
        found: dict[str, int] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                name = _name(folder, self.data)
                if name is not None:
                    found[name] = int(folder.name)
        return found

    def logs(self, last: int = 15) -> str:
        """The ends of the children's logs, for when something went wrong."""
        told = []
        for path in [*sorted((self.data / "logs").glob("*.log")), self.data / "nats" / "server.log"]:
            if path.exists():
                told += [f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-last:]]
        return "\n".join(told)

    def run(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """A command of this installation, as an operator would type it."""
        return subprocess.run(
            [*self._prefix, COMMAND, *arguments],
            env=environment(self.data, self.ports, **self._settings),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))


def _name(process: Path, data: Path) -> str | None:
    try:
        command = (process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
        name = next((name for name, text in CHILDREN.items() if text in command), None)
        if name is None or f"BASTIDE_DATA={data}" not in (process / "environ").read_bytes().decode(
            errors="replace"
        ).split("\0"):
            return None
        # A zombie is not running, it waits to be counted.
        return None if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z" else name
    except (OSError, IndexError):
        return None


def until(holds: Callable[[], bool], patience_s: float = 10.0, every_s: float = 0.02) -> bool:
    """Waits until something holds; False where it does not within the patience."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
