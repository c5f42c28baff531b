"""The adapters that commands use directly."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bastide.adapters.datadir.layout import DataDirectory, open_directory, write_private
from bastide.core.audit import Checkpoint
from bastide.core.error import NotFound, Refused
from bastide.flows.keep_ledger import UpkeepUnits
from bastide.governance.audit.reconcile import Journal, reconcile
from bastide.governance.audit.verdict import Verdict
from bastide.ports.platform.ledger import LedgerUpkeep
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.journal import JournalDamaged
from bastide.wire.note import VerifierKey

__all__ = [
    "DataDirectory",
    "audit_ledger",
    "exported_bundle",
    "keep_ledger",
    "open_directory",
    "parse_captures",
    "read_feeds",
    "root_in_token",
    "write_private",
]

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from bastide.adapters.capture.ring import Drops, LiveSocket
    from bastide.operations.inventory.looking import Pace, Probe

T = TypeVar("T")


def root_in_token(module: Path, token: str, pin: str) -> "EllipticCurvePrivateKey | None":
    """The root's key in a token that holds the authority keys."""
    from bastide.adapters.pkcs11.token import TokenKeys

    return TokenKeys(str(module), token, pin).open().root


def parse_captures(
    paths: Sequence[Path],
    fingerprints: Path | None = None,
    on_line: Callable[[dict[str, Any]], None] | None = None,
    wanted: Sequence[Sequence[str]] | None = None,
    *,
    conversations: bool = False,
    recog: Sequence[Path] = (),
    oui: Path | None = None,
) -> dict[str, Any]:
    """The sandboxed parser's report on captures. Their descriptors are opened here and closed again, and so are those of
    recog's documents and of a list of makers.

    With ``wanted`` (MAC addresses, for each capture) it is what those devices say in each capture, as tokens.
    """
    from bastide.adapters.capture.files import open_capture
    from bastide.adapters.sandbox.parser import parse

    opened: list[tuple[str, int]] = []
    base: int | None = None
    more: list[int] = []
    try:
        for path in paths:
            opened.append((str(path), open_capture(path)))
        more += [open_capture(path) for path in (*recog, *((oui,) if oui else ()))]
        if fingerprints is not None:
            base = open_capture(fingerprints)
        octets = sum(os.fstat(descriptor).st_size for _, descriptor in opened)
        order: dict[str, Any] = {"octets": octets, "conversations": conversations}
        if wanted is not None:
            order["wanted"] = wanted
        order |= {"recog": more[: len(recog)], "oui": more[-1] if oui else None}
        return parse(opened, order, on_line, base, more)
    finally:
        for descriptor in [*(descriptor for _, descriptor in opened), *([] if base is None else [base]), *more]:
            os.close(descriptor)


class Listening:
    """An interface that is listened on: the parser's lines, and what the kernel had to drop."""

    def __init__(self, live: "LiveSocket", every_seconds: float, fingerprints: Path | None) -> None:
        self._live = live
        self._every = every_seconds
        self._fingerprints = fingerprints

    def lines(self, stop: threading.Event) -> Iterator[dict[str, Any]]:
        """Until ``stop`` is set: ``stage`` when the parser is ready, then a ``window`` after each span of time."""
        from bastide.adapters.capture.files import open_capture
        from bastide.adapters.sandbox.parser import follow

        ring = {"descriptor": self._live.descriptor} | asdict(self._live.geometry)
        base = open_capture(self._fingerprints) if self._fingerprints is not None else None
        try:
            with closing(follow(ring, self._every, base, stop.is_set)) as lines:
                yield from lines
        finally:
            if base is not None:
                os.close(base)

    def drops(self) -> "Drops":
        return self._live.drops()


@contextmanager
def listen(interface: str, expression: str, every_seconds: float, fingerprints: Path | None) -> Iterator[Listening]:
    """Opens the interface; its socket is closed with the block."""
    from bastide.adapters.capture.ring import LiveSocket

    live = LiveSocket(interface, expression)
    try:
        yield Listening(live, every_seconds, fingerprints)
    finally:
        live.close()


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of an active look; ``captures`` are files in the folder that was named, made of what was said."""

    probes: int
    packets_reserved: int
    open: int
    answered: frozenset[str]
    captures: tuple[Path, ...]


def look_at(
    hosts: Sequence[str], asked: "Sequence[Probe]", pace: "Pace", folder: Path, told: Callable[[int, int], None]
) -> Looked:
    """Asks every host and writes down what was said; ``told`` hears (probes done, ports that answered)."""
    from bastide.adapters.look.sockets import Answer, Exchange, look
    from bastide.adapters.look.written import capture, neighbours

    kept: list[Exchange] = []

    def note(exchange: Exchange) -> None:
        kept.append(exchange)
        told(len(kept), sum(one.answer is Answer.OPEN for one in kept[-1:]))

    asyncio.run(look(hosts, asked, pace, note))
    written: list[Path] = []
    for name, content in zip(("near", "far"), capture(kept, neighbours()), strict=True):
        if content:
            written.append(folder / f"{name}.pcap")
            written[-1].write_bytes(content)
    return Looked(
        probes=len(kept),
        packets_reserved=sum(one.probe.packets for one in kept),
        open=sum(one.answer is Answer.OPEN for one in kept),
        answered=frozenset(one.host for one in kept if one.answer in (Answer.OPEN, Answer.CLOSED)),
        captures=tuple(written),
    )


def check_image(path: Path, seconds: float, told: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """The sandboxed check of a firmware image, an archive or a folder."""
    from bastide.adapters.sandbox.firmware import check_firmware

    return check_firmware(path, seconds, told)


def read_feeds(folder: Path, told: Callable[[str], None]) -> Iterator[tuple[str, bytes]]:
    """The documents in a folder of feeds; ``told`` hears what is passed over."""
    from bastide.adapters.feeds.files import documents

    return documents(folder, told)


def audit_ledger(database_url: str, key: VerifierKey, journal: Path | None, held: Checkpoint | None = None) -> Verdict:
    """The whole ledger recomputed from the tables, and held against the signer's journal where its folder is given."""
    from bastide.adapters.datadir.journal import journal_entries
    from bastide.adapters.sql.ledger_audit import audit_tables, opened_for_audit

    def read() -> Journal:
        return Journal.of(journal_entries(journal)) if journal is not None else Journal()

    damage: JournalDamaged | None = None
    try:
        before = read()
    except JournalDamaged as damaged:
        before, damage = Journal(), damaged
    with opened_for_audit(database_url) as connection:
        audit = audit_tables(connection, key, before, held)
    verdict = audit.finish()
    if damage is not None:
        verdict.found("journal", damage.sentence)
    elif journal is None:
        verdict.notices.append("The ledger was not held against a signer's journal: name its folder with --journal.")
    else:
        reconcile(verdict, audit.signing, before, read())
    return verdict


@contextmanager
def exported_bundle(
    database_url: str, key: VerifierKey, selection: str, show: bool, held: Checkpoint | None = None
) -> Iterator[Iterator[bytes]]:
    """The lines of a bundle under the newest checkpoint."""
    from bastide.adapters.sql.ledger_audit import exported_lines, opened_for_audit
    from bastide.adapters.sql.ledger_reads import latest_checkpoint

    with opened_for_audit(database_url) as connection:
        newest = latest_checkpoint(connection)
        if newest is None:
            raise NotFound("The ledger has no signed checkpoint yet: start Bastide once, then export.")
        if held is not None and held.size > newest.size:
            raise Refused(f"The checkpoint of {held.size} records is newer than this ledger, which has {newest.size}.")
        since = None if held is None else held.size
        yield exported_lines(connection, open_checkpoint(newest.note, key), selection, show, since)


def keep_ledger(database_url: str, what: Callable[[UpkeepUnits, LedgerUpkeep], Awaitable[T]]) -> T:
    """Does something to the ledger by this process's own writer, beside a controller that runs or with none."""
    from bastide.adapters.clock import RandomIds, SystemClock
    from bastide.adapters.sql.database import Database
    from bastide.adapters.sql.ledger_audit import opened_for_audit
    from bastide.adapters.sql.ledger_reads import LedgerReads
    from bastide.adapters.sql.units import SQLUnitsOfWork

    with opened_for_audit(database_url):
        pass  # there is a ledger; otherwise opening would make an empty file

    async def run() -> T:
        database = Database.open(database_url)
        try:
            return await what(SQLUnitsOfWork(database, SystemClock(), RandomIds()), LedgerReads(database))
        finally:
            await database.close()

    return asyncio.run(run())
