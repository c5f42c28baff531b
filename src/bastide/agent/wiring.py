"""The adapters that the agent uses."""

import random
import shlex
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bastide.agent.hold import Means, Server
from bastide.agent.keep_updated import Begun, Updater
from bastide.core.error import BastideError, Unavailable
from bastide.device.release.report import Report, Told
from bastide.flows.on_device.measure import Measured, measure
from bastide.flows.on_device.update import Board, confirm, install, start

if TYPE_CHECKING:
    from ssl import SSLContext

    from cryptography.x509 import Certificate

    from bastide.adapters.board import Described
    from bastide.adapters.clock import SystemClock
    from bastide.adapters.est.client import Endpoint
    from bastide.adapters.est.folder import Held, IdentityFolder
    from bastide.adapters.updates import JSONFile


class Fetching(Protocol):
    """A TUF client (adapters.tuf.client.Client)."""

    def refresh(self) -> None: ...

    def download(self, name: str, base_url: str, folder: Path) -> Path: ...


def trust_root(folder: Path, root: Path) -> int:
    """Makes a root the trusted one; its version."""
    from bastide.adapters.tuf.client import initialise

    return initialise(folder, root)


def fetching(folder: Path, metadata_url: str, now: datetime | None = None) -> Fetching:
    """A client over the trusted metadata in a folder."""
    from bastide.adapters.tuf.client import Client

    return Client(folder, metadata_url, now)


def certified(state: Path, host: str, port: int, trust: Path) -> "tuple[IdentityFolder, Server, SystemClock]":
    """The folder of the device's identity, the server that certifies it, and the clock."""
    from bastide.adapters.clock import SystemClock
    from bastide.adapters.est.folder import IdentityFolder

    identity = IdentityFolder(state)
    return identity, _ESTServer(identity, host, port, trust), SystemClock()


@dataclass(frozen=True, slots=True)
class _ESTServer:
    """Implements agent.hold.Server. ``trust`` is the root that the device was made to trust; what roots of the platform's own
    vouched for since is in the state folder, and trusted from then on."""

    identity: "IdentityFolder"
    host: str
    port: int
    trust: Path

    @property
    def endpoint(self) -> "Endpoint":
        from bastide.adapters.est.client import Endpoint

        return Endpoint(self.host, self.port, self.identity.trusted(self.trust))

    def enrol(self, means: Means) -> "Held":
        from bastide.adapters.est.client import Claim, enrol

        claim = None
        if means.shown is None and means.claim_file is not None:
            try:
                user, password = means.claim_file.read_text().split()
            except (OSError, ValueError) as error:
                raise Unavailable(
                    f"{means.claim_file} should hold a claim's user name and password, a line each.", code="agent:claim"
                ) from error
            claim = Claim(user, password)
        csr = self.identity.request("new device")
        return self._kept(enrol(self.endpoint, csr, claim=claim, shown=means.shown, label=means.label))

    def renew(self, device: str) -> "Held":
        from bastide.adapters.est.client import renew

        csr = self.identity.request(device)
        return self._kept(renew(self.endpoint, csr, (self.identity.file, self.identity.file)))

    def _kept(self, chain: "list[Certificate]") -> "Held":
        from bastide.adapters.est.client import newer_trust

        held = self.identity.keep(chain)
        with suppress(BastideError):  # it has its certificate; new roots come with the next one
            if newer := newer_trust(self.endpoint):
                self.identity.keep_trust(newer)
        return held


# Updates ------------------------------------------------------------------------------------------------------------------

HEALTH_SECONDS = 120
MOST_VERSIONS = 8


@dataclass(frozen=True, slots=True)
class Updating:
    """What the updater is told: the board's folder, the repository's root that the device was made with, the commands that
    restart the device and say whether it is well (empty: it is), and the longest pause between two questions."""

    board: Path
    root: Path
    restart: str
    health: str = ""
    longest: timedelta = timedelta(hours=1)


def started(folder: Path) -> tuple[int | None, bool]:
    """Boots a board of files: the slot that starts, and whether on trial."""
    from bastide.adapters.board import open_board

    decided = start(_board(open_board(folder)))
    return decided.slot, decided.on_trial


def updater(
    given: Updating, identity: "IdentityFolder", host: str, port: int, trust: Path, say: Callable[..., None]
) -> Updater:
    """An updater over a board of files."""
    from bastide.adapters.board import open_board
    from bastide.adapters.clock import SystemClock
    from bastide.adapters.updates import JSONFile

    folder = identity.path / "updates"
    folder.mkdir(mode=0o700, exist_ok=True)
    if not (folder / "tuf" / "root_history").exists():
        trust_root(folder / "tuf", given.root)
    described = open_board(given.board)
    return Updater(
        _Board(described, _board(described), given.restart, given.health),
        _Source(identity, host, port, trust, folder),
        _Memory(JSONFile(folder / "begun.json"), JSONFile(folder / "versions.json")),
        SystemClock(),
        random.random,
        say,
        given.longest,
    )


def _board(described: "Described") -> Board:
    return Board(described.images, described.states, described.counter, described.key, described.number)


@dataclass(frozen=True, slots=True)
class _Board:
    """Implements agent.keep_updated.Board."""

    described: "Described"
    board: Board
    restart_command: str
    health_command: str

    def measure(self) -> Measured:
        return measure(self.board)

    def report(self, measured: Measured, version: str) -> Report:
        return Report(
            self.described.hardware,
            version or self.described.version,
            self.board.counter.value,
            self.board.slot_bytes,
            measured.sha256,
            measured.on_trial,
        )

    def install(self, content: Iterable[bytes]) -> None:
        install(self.board, content)

    def confirm(self) -> None:
        confirm(self.board)

    def healthy(self) -> str:
        if not self.health_command:
            return ""
        try:
            done = _run(self.health_command, HEALTH_SECONDS)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            return f"The check could not be made: {error}."
        return "" if done.returncode == 0 else f"The check ended with {done.returncode}: {done.stdout.strip()[-300:]}"

    def restart(self) -> None:
        try:
            _run(self.restart_command, HEALTH_SECONDS)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"The device could not be restarted: {error}.", code="update:restart") from error


def _run(command: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        shlex.split(command), capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """Implements agent.keep_updated.Source."""

    identity: "IdentityFolder"
    host: str
    port: int
    trust: Path
    folder: Path

    def ask(self, report: Report) -> Told:
        from bastide.adapters.updates import UpdateServer

        return UpdateServer(self.host, self.port).ask(report, self._tls())

    def fetch(self, target: str) -> Path:
        from bastide.adapters.tuf.client import Client, Fetcher

        base = f"https://{self.host}:{self.port}/updates"
        client = Client(self.folder / "tuf", f"{base}/metadata/", fetcher=Fetcher(self._tls()))
        client.refresh()
        return client.download(target, f"{base}/targets/", self.folder / "fetched")

    def _tls(self) -> "SSLContext":
        from bastide.adapters.updates import device_tls

        return device_tls(self.identity.trusted(self.trust), self.identity.file)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Implements agent.keep_updated.Memory."""

    last: "JSONFile"
    versions: "JSONFile"

    def begun(self) -> Begun | None:
        told = self.last.read()
        try:
            return Begun(**{**told, "since": datetime.fromisoformat(told["since"])}) if told else None
        except (TypeError, ValueError, KeyError):
            return None

    def begin(self, begun: Begun | None) -> None:
        self.last.write({**asdict(begun), "since": begun.since.isoformat()} if begun else {})

    def version_of(self, sha256: str) -> str:
        return str(self.versions.read().get(sha256, ""))

    def names(self, sha256: str, version: str) -> None:
        newest = [*self.versions.read().items()][-MOST_VERSIONS + 1 :]
        self.versions.write({**dict(newest), sha256: version})
