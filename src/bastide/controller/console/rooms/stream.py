"""``/live``: committed ledger records as server-sent events (WHATWG HTML, section 9.2), each only to who may see it.

A session that ends while a page is open stops hearing within a minute.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from bastide.controller.api.access import Asking, Using, authenticate
from bastide.controller.api.deps import Deps
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views.reader import Reader
from bastide.controller.live import STREAMS
from bastide.core.audit import Record
from bastide.core.error import BastideError
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

ASK_AGAIN = timedelta(minutes=1)
# More records than this in one commit are told as one "look again".
MOST_AT_ONCE = 50


def add(routes: Routes, pages: Pages) -> None:
    @routes.get("/live", needs=Permission.FLEET_READ)
    async def live_records(request: Request, asking: Asking, deps: Using) -> Response:
        if deps.live.open_streams >= STREAMS:
            return Response("Too many pages are open on this controller.", 503, {**HEADERS, "Retry-After": "30"})
        return StreamingResponse(
            _events(request, asking, deps),
            headers={**HEADERS, "X-Accel-Buffering": "no"},
            media_type="text/event-stream",
        )


async def _events(request: Request, asking: Principal, deps: Deps) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    asked = deps.clock.now()
    async for records in deps.live.stream():
        if deps.clock.now() - asked > ASK_AGAIN:
            asked = deps.clock.now()
            try:
                again = await authenticate(request)
            except BastideError:
                again = None
            if again is None:
                yield "event: ended\ndata: {}\n\n"
                return
        if records is None:
            yield ": beat\n\n"
        elif not records or len(records) > MOST_AT_ONCE:
            yield "event: behind\ndata: {}\n\n"
        else:
            # Names and scope are read anew for each commit: a device may have been renamed or moved.
            looking = reader(deps, asking)
            for record in records:
                if await looking.sees_record(record):
                    yield f"event: record\ndata: {await _told(record, looking)}\n\n"


async def _told(record: Record, looking: Reader) -> str:
    """What a page needs to know: what it is about, and a sentence where a standing moved."""
    event = {"id": record.id, "kind": record.kind, "subject": record.subject}
    if record.kind == "decision:standing:changed":
        (line,) = await looking.lines([record])
        event |= {"text": f"{line.name} {line.text}", "tone": line.tone, "href": f"/devices/{line.device}"}
    return json.dumps(event, ensure_ascii=False)
