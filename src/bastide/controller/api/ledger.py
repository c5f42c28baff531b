"""The ledger: records, their proofs, the signed checkpoint, and what happens now as server-sent events."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Path, Query
from fastapi.responses import StreamingResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.models import Answer, Limit, Page, RecordOut, page
from bastide.controller.api.records import shown, visible
from bastide.controller.api.routes import Routes, documented
from bastide.core.audit import Checkpoint
from bastide.core.error import NotFound, Unavailable
from bastide.core.ids import RecordId
from bastide.governance.access.roles import Permission
from bastide.ports.platform.ledger import Bundles

routes = Routes("", "ledger")

RecordIn = Annotated[str, Path(pattern=r"^r-[a-z2-7]{20}$", description="The record's id.")]
# Pages that are looked through to fill one for somebody with a narrow scope; then `next` goes on.
_LOOKED_THROUGH = 10
MOST_STREAMS = 256
SELECTION = r"^(all|range:[0-9]{1,15}-[0-9]{1,15}|(record|subject|kind):[A-Za-z0-9][A-Za-z0-9:._@/-]{0,250})$"


class CheckpointOut(Answer):
    """A tree head that the signer signed; ``note`` is the C2SP signed note, as other tools read it."""

    origin: str
    size: int
    root: str
    note: str


class ProofOut(Answer):
    """That a record is in the tree of a checkpoint (RFC 6962 section 2.1.1). Hashes and the leaf are base64."""

    record: str
    leaf: str
    index: int
    path: list[str]
    checkpoint: CheckpointOut


@routes.get(
    "/ledger/records",
    needs=Permission.LEDGER_READ,
    responses={404: documented(404, "`after` names no record.")},
)
async def list_records(
    asking: Asking,
    deps: Using,
    kind: Annotated[str, Query(pattern=r"^[a-z0-9:._-]{0,100}$", description="Only kinds that begin so.")] = "",
    after: Annotated[str, Query(pattern=r"^(r-[a-z2-7]{20})?$", description="`next` of the page before.")] = "",
    limit: Limit = 100,
) -> Page[RecordOut]:
    """The ledger's records, newest first."""
    found: list[RecordOut] = []
    place = RecordId(after) if after else None
    for _ in range(_LOOKED_THROUGH):
        records = await deps.ledger.recent(limit, kind, place)
        for record in await visible(records, asking, deps):
            found.append(shown(record, asking))
            if len(found) == limit:
                return page(found, limit, record.id)
        if len(records) < limit:
            return Page(items=found)
        place = records[-1].id
    return Page(items=found, next=place)


@routes.get("/ledger/records/{record}", needs=Permission.LEDGER_READ)
async def show_record(record: RecordIn, asking: Asking, deps: Using) -> RecordOut:
    """One record."""
    found = await deps.ledger.get(RecordId(record))
    if not await visible([found], asking, deps):
        raise NotFound(f"There is no record {record}.")
    return shown(found, asking)


@routes.get("/ledger/records/{record}/proof", needs=Permission.LEDGER_READ)
async def prove_record(record: RecordIn, asking: Asking, deps: Using) -> ProofOut:
    """The proof that a record is in the ledger, under the newest checkpoint."""
    await show_record(record, asking, deps)
    proof = await deps.ledger.prove(RecordId(record))
    return ProofOut(
        record=proof.record,
        leaf=_text(proof.leaf),
        index=proof.index,
        path=[_text(step) for step in proof.path],
        checkpoint=_checkpoint(proof.checkpoint),
    )


@routes.get("/ledger/checkpoint", needs=Permission.LEDGER_READ)
async def show_checkpoint(deps: Using) -> CheckpointOut:
    """The newest signed tree head."""
    checkpoint = await deps.ledger.checkpoint()
    if checkpoint is None:
        raise Unavailable("There is no checkpoint yet; the first one is signed within seconds of the first record.")
    return _checkpoint(checkpoint)


@routes.get(
    "/events",
    needs=Permission.LEDGER_READ,
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `record` with a record as JSON, `behind` where some were missed.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def follow_events(asking: Asking, deps: Using) -> StreamingResponse:
    """What is committed to the ledger from now on, as whoever asks may see it. A comment every 15 s keeps proxies awake."""
    if deps.live.open_streams >= MOST_STREAMS:
        raise Unavailable(f"{MOST_STREAMS} live streams are open already; close one and try again.")

    async def events() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        async for records in deps.live.stream():
            if records is None:
                yield ": here\n\n"
            elif not records:
                yield "event: behind\ndata: {}\n\n"
            else:
                for record in await visible(records, asking, deps):
                    told = shown(record, asking).model_dump(mode="json")
                    yield f"id: {record.id}\nevent: record\ndata: {json.dumps(told, ensure_ascii=False)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def export_routes(bundles: Bundles) -> Routes:
    """The export of bundles that an auditor checks offline (``bastide audit check``)."""
    routes = Routes("", "ledger")

    @routes.get(
        "/ledger/export",
        needs=Permission.LEDGER_EXPORT,
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "The bundle: JSON lines with every record's proof. `bastide audit check FILE` checks it.",
                "content": {"application/jsonl": {"schema": {"type": "string"}}},
            },
            404: documented(404, "Nothing is selected."),
        },
    )
    async def export_bundle(
        asking: Asking,
        selection: Annotated[
            str,
            Query(
                pattern=SELECTION,
                max_length=300,
                description="`all`, `range:FIRST-LAST`, `record:ID`, `subject:KIND:ID` or `kind:BEGINNING`.",
            ),
        ] = "all",
        show_personal: Annotated[bool, Query(description="Show facts about people; needs `people:read`.")] = False,
    ) -> StreamingResponse:
        """Records with their proofs under the newest checkpoint, in one file that anybody can check."""
        if show_personal:
            asking.demand(Permission.PEOPLE_READ)
        pieces = bundles.pieces(selection, show_personal)
        first = await anext(pieces)  # what is wrong shows here, while it can still be a problem document

        async def content() -> AsyncIterator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        headers = {"Content-Disposition": 'attachment; filename="bastide-ledger.jsonl"'}
        return StreamingResponse(content(), media_type="application/jsonl", headers=headers)

    return routes


def _checkpoint(checkpoint: Checkpoint) -> CheckpointOut:
    return CheckpointOut(
        origin=checkpoint.origin, size=checkpoint.size, root=_text(checkpoint.root), note=checkpoint.note
    )


def _text(binary: bytes) -> str:
    return b64encode(binary).decode()
