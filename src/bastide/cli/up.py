"""``bastide up``: signer, controller, broker and ingest as one process group, with nothing to install or configure."""

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from bastide.cli.disk import DiskWatch
from bastide.cli.supervisor import Child, StartFailed, Supervisor, watch_signals
from bastide.cli.wiring import DataDirectory, open_directory
from bastide.core.error import BastideError

LOCK_PATIENCE_S = 20.0
LEFTOVER_PATIENCE_S = 1.5
PORT_PATIENCE_S = 5.0


class AlreadyRunning(BastideError):
    """Another Bastide uses this data directory."""

    code = "up:running"


class PortInUse(BastideError):
    """Another program listens where Bastide should."""

    code = "up:port"


class NoSuchAddress(BastideError):
    """The address to listen on is none of this machine's."""

    code = "up:host"


class BadSetting(BastideError):
    """A setting cannot be used."""

    code = "up:setting"


class UpSettings(BaseSettings):
    """What `up` may be told: by option, by environment (BASTIDE_…), or in ``bastide.toml`` in the data directory."""

    model_config = SettingsConfigDict(env_prefix="BASTIDE_", extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="The address that console, device endpoints and MQTT listen on")
    console_port: int = Field(default=8443, ge=1, le=65535)
    device_port: int = Field(default=9443, ge=1, le=65535)
    mqtt_port: int = Field(default=8883, ge=1, le=65535)
    nats_port: int = Field(default=4222, ge=1, le=65535)
    server_names: str = Field(
        "localhost", description="DNS names and addresses that the server certificates carry, by comma"
    )
    database_url: str = ""
    nats_url: str = ""
    nats_server: str = ""
    evidence_days: int = Field(default=90, ge=1, le=3650)
    sample_days: int = Field(default=30, ge=1, le=3650)
    mud_anchors: str = ""
    mud_trust: str = ""
    mud_private: bool = False
    # The signer reads its own table; it is named here only so that the file may hold it.
    signer: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def up(
    data: Annotated[Path, typer.Option(envvar="BASTIDE_DATA", help="The data directory.")] = Path(
        "~/.local/share/bastide"
    ),
    host: Annotated[str | None, typer.Option(help="Listen on this address (default 127.0.0.1).")] = None,
    console_port: Annotated[int | None, typer.Option(help="Console and API (default 8443).")] = None,
    device_port: Annotated[int | None, typer.Option(help="Device endpoints, EST (default 9443).")] = None,
    mqtt_port: Annotated[int | None, typer.Option(help="MQTT over mutual TLS (default 8883).")] = None,
    nats_port: Annotated[int | None, typer.Option(help="NATS for the platform itself (default 4222).")] = None,
    database_url: Annotated[str | None, typer.Option(help="postgresql+psycopg://… (default: SQLite).")] = None,
    nats_url: Annotated[str | None, typer.Option(help="An existing NATS cluster, instead of our own server.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Run the demo fleet too.")] = False,
) -> None:
    """Start everything on this machine; Ctrl-C stops it."""
    started = time.monotonic()
    directory = open_directory(data)
    told = {
        "host": host,
        "console_port": console_port,
        "device_port": device_port,
        "mqtt_port": mqtt_port,
        "nats_port": nats_port,
        "database_url": database_url,
        "nats_url": nats_url,
    }
    settings = read_settings(directory, {name: value for name, value in told.items() if value is not None})
    with locked(directory) as lock:
        for name, port in ports(settings):
            wait_for_port(settings.host, name, port)
        asyncio.run(_run(directory, settings, lock, demo, started))


def read_settings(directory: DataDirectory, told: dict[str, object]) -> UpSettings:
    """Options before environment before file; one sentence names the setting that cannot be used."""

    class Here(UpSettings):
        model_config = SettingsConfigDict(toml_file=directory.settings)

    try:
        return Here(**told)  # type: ignore[arg-type]
    except ValueError as error:
        found: list[Any] = getattr(error, "errors", list)()
        where = ".".join(str(part) for part in found[0]["loc"]) if found else directory.settings.name
        why = found[0]["msg"] if found else str(error)
        raise BadSetting(
            f"The setting {where} cannot be used: {why}. Settings are described in docs/operations/settings.md."
        ) from error


def ports(settings: UpSettings) -> list[tuple[str, int]]:
    """The ports that must be free, by the name of their setting."""
    wanted = [("console_port", settings.console_port), ("device_port", settings.device_port)]
    if not settings.nats_url:
        wanted += [("mqtt_port", settings.mqtt_port), ("nats_port", settings.nats_port)]
    return wanted


def wait_for_port(host: str, name: str, port: int) -> None:
    """Returns when the port is free; a child of a killed supervisor may hold it for a moment longer."""
    patience = time.monotonic() + PORT_PATIENCE_S
    while True:
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return
        except socket.gaierror as error:
            raise NoSuchAddress(
                f"Cannot listen on {host}: {error.strerror}. Name an address of this machine with --host or BASTIDE_HOST."
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise NoSuchAddress(
                    f"Cannot listen on {host}: this machine has no such address. Name another with --host or BASTIDE_HOST."
                ) from error
            if time.monotonic() > patience:
                option = name.replace("_", "-")
                raise PortInUse(
                    f"Cannot listen on {host} port {port}: {error.strerror}. "
                    f"Stop the program that uses it, or name another port with --{option} or BASTIDE_{name.upper()}."
                ) from error
            time.sleep(0.1)


@contextmanager
def locked(directory: DataDirectory) -> Iterator[int]:
    """Holds the data directory for one supervisor; waits for the children of one that was killed, and then ends them.

    They got SIGTERM when it died, and nearly always that is enough. nats-server alone waits on its way out for every
    connection that is being let in, which nobody does any more; all of them are built to be killed at any moment.
    """
    lock = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
                waited = time.monotonic() - began
                if _alive(holder) or waited > LOCK_PATIENCE_S:
                    raise AlreadyRunning(
                        f"Bastide already runs with the data directory {directory.path} (process {holder or 'unknown'}). "
                        "Stop it first, or name another directory with --data."
                    ) from error
                if waited > LEFTOVER_PATIENCE_S:
                    _end_leftovers(directory.lock)
                time.sleep(0.05)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _alive(holder: str) -> bool:
    """True where the process that took the lock still runs; one that only waits to be counted by its parent does not."""
    if not holder.isdigit() or int(holder) == os.getpid():
        return False
    try:
        return Path(f"/proc/{holder}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _end_leftovers(lock: Path) -> None:
    """Kills the children of the dead supervisor: they hold the lock file open, and have their own pipe to say READY on."""
    ours = lock.stat()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            child = b"BASTIDE_READY_FD=" in (process / "environ").read_bytes()
            held = child and any(
                os.path.samestat(each.stat(), ours) for each in (process / "fd").iterdir() if _is_file(each)
            )
        except OSError:
            continue  # it has ended, or belongs to somebody else
        if held:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(process.name), signal.SIGKILL)


def _is_file(descriptor: Path) -> bool:
    """Descriptors of pipes and sockets have no file to be compared with."""
    try:
        return os.readlink(descriptor).startswith("/")
    except OSError:
        return False


async def _run(directory: DataDirectory, settings: UpSettings, lock: int, demo: bool, started: float) -> None:
    supervisor = Supervisor(directory.logs, lock, _environment(directory, settings), _say)
    watch_signals(supervisor)
    python = (sys.executable, "-m")
    signer = Child("signer", (*python, "bastide.signer"))
    controller = Child("controller", (*python, "bastide.controller"))
    ingest = Child("ingest", (*python, "bastide.controller.workers.ingest"))
    broker = Child(
        "broker",
        (_nats_server(settings), "-c", str(directory.nats / "nats.conf")),
        ready=lambda: _listens(settings.host, settings.mqtt_port),
    )
    try:
        _say(f"Bastide starts with the data directory {directory.path}")
        # What imports for half a second each starts side by side; each waits for what it needs of the others.
        await _together(supervisor, supervisor.start(signer), supervisor.start(controller, until="CERTIFICATES"))
        late = [] if settings.nats_url else [supervisor.start(broker)]
        await _together(supervisor, *late, supervisor.start(ingest), supervisor.reached(controller, "READY"))
        _say(_welcome(directory, settings, time.monotonic() - started))
        if demo:
            await supervisor.start(Child("demo", (*python, "bastide.demo"), speaks=True))
    except StartFailed as error:
        supervisor.stop()
        await supervisor.run()
        if error.reason != "up:stopped":
            raise
        return
    watching = asyncio.create_task(
        DiskWatch(directory.nats / "server.log", lambda: supervisor.restart(broker.name), _say).run()
    )
    await supervisor.run()
    watching.cancel()
    _say("Bastide has stopped.")


async def _together(supervisor: Supervisor, *starts: Coroutine[Any, Any, None]) -> None:
    """Runs starts side by side. The first that fails ends the others, and is what is raised."""
    tasks = [asyncio.create_task(start) for start in starts]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    failed = next((task for task in done if task.exception() is not None), None)
    if failed is not None:
        supervisor.stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        failed.result()


def _environment(directory: DataDirectory, settings: UpSettings) -> dict[str, str]:
    """What each child is told; settings that are empty are left to the child's own defaults."""
    values = settings.model_dump(exclude={"signer"})
    told = {f"BASTIDE_{name.upper()}": str(value) for name, value in values.items() if value != ""}
    told["BASTIDE_SIGNER_SOCKET"] = str(directory.signer_socket)
    told["BASTIDE_SIGNER_SERVER_NAMES"] = ",".join(names(settings))
    inherited = dict(os.environ)  # noqa: TID251 (a command reads the environment that it was started in)
    # One arena a process: glibc makes one for each thread otherwise, and never gives them back.
    return {"MALLOC_ARENA_MAX": "2", **inherited, **told, "BASTIDE_DATA": str(directory.path), "PYTHONUNBUFFERED": "1"}


def names(settings: UpSettings) -> tuple[str, ...]:
    """What the server certificates are good for: the names that were set, and the address that is listened on."""
    told = [name.strip() for name in settings.server_names.split(",") if name.strip()]
    return tuple(dict.fromkeys([*told, "localhost", "127.0.0.1", settings.host]))


def _nats_server(settings: UpSettings) -> str:
    """The broker's program: the one named by setting, or the one that was installed beside this Python."""
    if settings.nats_server:
        return settings.nats_server
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server") or str(beside)


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.2):
            return True
    except OSError:
        return False


def _welcome(directory: DataDirectory, settings: UpSettings, seconds: float) -> str:
    console = f"https://localhost:{settings.console_port}"
    est = f"https://{settings.host}:{settings.device_port}/.well-known/est/"
    shares = any((directory.path / "root-shares").glob("share-*"))
    lines = [f"Bastide is ready ({seconds:.1f} s).", f"  Console   {console}"]
    if directory.sign_in_link.exists():
        lines.append(f"  Sign in   {directory.sign_in_link.read_text().strip()}  (once, within 24 h)")
    lines += [
        f"  Devices   {est} and MQTT on {settings.host}:{settings.mqtt_port}",
        f"  Data      {directory.path}  (logs in logs/)",
        f"  Trust     the console's root is {directory.trust / 'root.pem'}; `bastide trust install` adds it to this browser",
        *(
            ["  Root      its key is in shares in root-shares/; any two make it: move each to a place of its own"]
            * shares
        ),
        "  Stop      Ctrl-C",
    ]
    return "\n".join(lines)


def _say(line: str) -> None:
    typer.echo(line)
    sys.stdout.flush()
