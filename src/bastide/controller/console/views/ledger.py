"""The ledger's pages: find a record, read it in words and as it is, and hand a browser all that it needs to check it."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.controller.console.views.reader import Reader
from bastide.controller.console.views.words import Said
from bastide.core.audit import Checkpoint, Record, Recorded
from bastide.core.error import NotFound
from bastide.core.ids import RecordId
from bastide.ports.platform.ledger import InclusionProof, Ledger

PAGE = 60
# A reader with a narrow scope may have to look past many records of others to fill one page.
LOOK_PAST = 10


@dataclass(frozen=True, slots=True)
class LedgerPage:
    lines: tuple[Said, ...]
    next_before: str
    kind: str
    find: str
    checkpoint: Checkpoint | None
    missing: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    record: Record
    line: Said
    body: str
    checkpoint: Checkpoint | None


async def ledger_page(
    ledger: Ledger, reader: Reader, *, kind: str = "", find: str = "", before: str = ""
) -> LedgerPage:
    """Newest first. ``find`` is the id of a device; the id of a record is the record's own page."""
    seen: list[Record] = []
    missing, more = "", False
    if find:
        subject = find if ":" in find else f"device:{find}"
        about = [each for each in await ledger.about(subject, PAGE * LOOK_PAST) if await reader.sees_record(each)]
        seen = [each for each in about if each.kind.startswith(kind)][:PAGE]
        missing = "" if seen else f"The ledger holds nothing about {find} that you may see."
    else:
        cursor = RecordId(before) if before else None
        for _ in range(LOOK_PAST):
            batch = await ledger.recent(PAGE, kind, cursor)
            seen += [each for each in batch if await reader.sees_record(each)]
            more = len(batch) == PAGE
            cursor = batch[-1].id if batch else cursor
            if len(seen) >= PAGE or not more:
                break
        more = more or len(seen) > PAGE
        seen = seen[:PAGE]
    return LedgerPage(
        lines=await reader.lines(seen),
        next_before=seen[-1].id if more and seen else "",
        kind=kind,
        find=find,
        checkpoint=await ledger.checkpoint(),
        missing=missing,
    )


async def record_page(ledger: Ledger, reader: Reader, record: RecordId) -> RecordPage:
    """``NotFound`` where there is no such record or the reader may not see it."""
    found = await ledger.get(record)
    if not await reader.sees_record(found):
        raise NotFound(
            f"The ledger holds no record {record} that you may see. Look for it by its device on the ledger page."
        )
    return RecordPage(
        record=found,
        line=(await reader.lines([found]))[0],
        body=json.dumps(_readable(reader.plain(found.body)), indent=2, ensure_ascii=False, default=str),
        checkpoint=await ledger.checkpoint(),
    )


def proof_document(proof: InclusionProof, key: str) -> dict[str, Any]:
    """The proof as the browser's checker reads it: bytes in base64."""
    return {
        "record": proof.record,
        "leaf": _b64(proof.leaf),
        "index": proof.index,
        "path": [_b64(node) for node in proof.path],
        "size": proof.checkpoint.size,
        "root": _b64(proof.checkpoint.root),
        "origin": proof.checkpoint.origin,
        "note": proof.checkpoint.note,
        "key": key,
    }


def kinds(lines: Sequence[Said]) -> tuple[str, ...]:
    """The areas that occur on a page, for the filter."""
    return tuple(sorted({line.kind.partition(":")[0] for line in lines}))


def _b64(content: bytes) -> str:
    return b64encode(content).decode()


def _readable(value: Recorded) -> Any:
    """The value as JSON takes it."""
    match value:
        case Mapping():
            return {name: _readable(each) for name, each in value.items()}
        case list() | tuple():
            return [_readable(each) for each in value]
    return value
