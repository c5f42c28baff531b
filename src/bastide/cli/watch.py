"""``bastide watch``: listens on an interface and hands what it sees to a running Bastide, for as long as it is let.

Packets are read in the sandboxed parser; this process only opens the interface, and hands windows of what was seen
in. A window is on disk before it is handed in, under a name of its own, and leaves the disk when Bastide has taken it: nothing
that was seen is lost while the controller is gone, and nothing is counted twice where it was handed in just before a crash.
"""

import hashlib
import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import output
from bastide.cli.client import Answered, Client, connect
from bastide.cli.scan import MAX_SUBMITTED, submitted_device
from bastide.cli.span import span
from bastide.cli.wiring import Listening, listen, write_private
from bastide.core.error import BastideError, Refused, Unavailable

MAX_CONVERSATIONS = 10_000
MAX_SPOOLED = 2_000
"""Windows that wait for Bastide; a day of minutes and more. The oldest goes first, and is counted."""

REPEAT_SECONDS = 3600.0
"""How often a device is handed in of which nothing but the time changed."""

RETRY_SECONDS = 5.0


def watch(
    interface: Annotated[
        str, typer.Argument(metavar="IFACE", help="The interface to listen on, such as a mirror port.")
    ],
    site: Annotated[str, typer.Option("--site", help="The site that is listened to.")] = "main",
    source: Annotated[str, typer.Option("--source", help="Names this listener; else the interface's name.")] = "",
    every: Annotated[str, typer.Option("--every", help="How often to hand in: 10s, 1m, 5m.")] = "1m",
    capture_filter: Annotated[
        str, typer.Option("--filter", help="A capture filter in libpcap's words: 'not port 22'.")
    ] = "",
    fingerprints: Annotated[
        Path | None, typer.Option("--fingerprints", help="A fingerprint base that names device types.")
    ] = None,
    spool_folder: Annotated[
        Path, typer.Option("--spool", help="Where windows are kept until Bastide has taken them.")
    ] = Path("~/.local/state/bastide/watch"),
    as_json: output.JSON = False,
    data: output.DATA = "",
) -> int:
    """Listen on an interface and keep the inventory of a running Bastide up to date. Ctrl-C stops it."""
    name = source or interface
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise Refused(f"{name!r} does not name a source; use letters, digits, dots and dashes, 80 at most.")
    seconds = span(every).total_seconds()
    spool = Spool(spool_folder.expanduser() / name)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with connect(data) as api, listen(interface, capture_filter, seconds, fingerprints) as heard:
        hand = Hand(api, spool, name, site, stop, _quiet if as_json else _say)
        hand.start()
        try:
            _follow(heard, spool, stop, interface, as_json=as_json)
        finally:
            stop.set()
            hand.join(timeout=30)
    return 0


def _follow(heard: Listening, spool: "Spool", stop: threading.Event, interface: str, *, as_json: bool) -> None:
    changed = _Changed()
    before = {"packets": 0, "bytes": 0}
    for line in heard.lines(stop):
        if line.get("stage") == "compile":
            if not as_json:
                _say("Compiling the packet kernel for this machine (once, 15 s or more).")
            continue
        if "stage" in line:
            if not as_json:
                _say(f"Listening on {interface}; Ctrl-C stops.")
                for layer in line["not_sandboxed"]:
                    _say(f"Not sandboxed by {layer}")
            continue
        drops, report = heard.drops(), line["report"]
        devices = changed.of(report["devices"])
        spool.put({"devices": devices, "conversations": line["conversations"]})
        told = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "packets": report["packets"] - before["packets"],
            "dropped": drops.dropped,
            "devices": len(report["devices"]),
            "handed_in": len(devices),
            "conversations": len(line["conversations"]),
            "waiting": len(spool),
            "given_up": spool.given_up,
        }
        before = report
        if as_json:
            typer.echo(json.dumps(told))
        else:
            _say(_sentence(told))


def _sentence(told: Mapping[str, Any]) -> str:
    said = [f"{told['packets']:,} packets", f"{told['devices']:,} devices", f"{told['conversations']:,} conversations"]
    if told["dropped"]:
        said.append(f"{told['dropped']:,} packets DROPPED: the machine is too slow, use --filter")
    if told["waiting"] > 1:
        said.append(f"{told['waiting']:,} windows wait for Bastide")
    if told["given_up"]:
        said.append(f"{told['given_up']:,} windows were given up")
    return ", ".join(said)


def _say(sentence: str) -> None:
    typer.echo(f"{datetime.now().astimezone():%H:%M:%S}  {output.printable(sentence)}")


def _quiet(sentence: str) -> None:
    typer.echo(output.printable(sentence), err=True)


class _Changed:
    """Devices of which more than the time is new, or that were not handed in for long."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}

    def of(self, devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        now, new = time.monotonic(), []
        for device in devices:
            submitted = submitted_device(device)
            stable = {name: value for name, value in submitted.items() if name != "last_seen"}
            digest = hashlib.sha256(json.dumps(stable, sort_keys=True).encode()).hexdigest()
            key = device["mac"] or (device["ips"] or ["?"])[0]
            known = self._told.get(key)
            if known is None or known[0] != digest or now - known[1] > REPEAT_SECONDS:
                self._told[key] = (digest, now)
                new.append(submitted)
        return new


class Spool:
    """Windows on disk, oldest first. A file is whole or not there: it is written aside, synced and renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.given_up = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for half in folder.glob(".*.new"):
                half.unlink()
        except OSError as error:
            raise Unavailable(f"{folder} cannot be written: {error.strerror}; windows are kept there.") from error
        self._more = threading.Event()

    def __len__(self) -> int:
        return sum(1 for _ in self._folder.glob("*.json"))

    def put(self, window: Mapping[str, Any]) -> None:
        """``Unavailable`` where the disk does not take it."""
        name = f"{time.time_ns():020d}.json"
        try:
            write_private(self._folder / name, json.dumps(window))
        except OSError as error:
            raise Unavailable(f"{self._folder} does not take a window: {error.strerror}; free some space.") from error
        for old in sorted(self._folder.glob("*.json"))[:-MAX_SPOOLED]:
            old.unlink(missing_ok=True)
            self.given_up += 1
        self._more.set()

    def waiting(self) -> Iterator[tuple[str, Path]]:
        """Names and files, oldest first."""
        self._more.clear()
        for path in sorted(self._folder.glob("*.json")):
            yield path.stem, path

    def wait(self, seconds: float) -> None:
        self._more.wait(seconds)


class Hand(threading.Thread):
    """Hands windows in, one after the other, and tries again while Bastide is away."""

    def __init__(
        self, api: Client, spool: Spool, source: str, site: str, stop: threading.Event, say: Callable[[str], None]
    ) -> None:
        super().__init__(name="hand-in", daemon=True)
        self._api = api
        self._spool = spool
        self._source = source
        self._site = site
        self._stop_ = stop
        self._say = say
        self._away = False

    def run(self) -> None:
        while True:
            stopping = self._stop_.is_set()
            try:
                for name, path in self._spool.waiting():
                    self._hand_in(name, json.loads(path.read_bytes()))
                    path.unlink(missing_ok=True)
                    if self._away:
                        self._away = False
                        self._say("Bastide answers again.")
            except Answered as refused:
                self._say(f"Bastide did not take a window: {refused.sentence}")
                self._stop_.wait(RETRY_SECONDS)
            except (BastideError, OSError, ValueError) as error:
                if not self._away:
                    self._away = True
                    self._say(f"{error} Windows are kept until it answers.")
                self._stop_.wait(RETRY_SECONDS)
            if stopping:
                return
            if not self._away:
                self._spool.wait(1.0)

    def _hand_in(self, name: str, window: Mapping[str, Any]) -> None:
        devices, talks = window["devices"], window["conversations"]
        for start in range(0, len(devices), MAX_SUBMITTED):
            part = devices[start : start + MAX_SUBMITTED]
            self._api.post("/scans", {"source": self._source, "site": self._site, "devices": part})
        hand_in_conversations(self._api, talks, self._source, self._site, name)


def hand_in_conversations(api: Client, talks: list[dict[str, Any]], source: str, site: str, window: str) -> None:
    """Posts conversations in parts, each a window of its own name."""
    for number, start in enumerate(range(0, len(talks), MAX_CONVERSATIONS)):
        part = talks[start : start + MAX_CONVERSATIONS]
        api.post(
            "/conversations", {"source": source, "site": site, "window": f"{window}.{number}", "conversations": part}
        )
