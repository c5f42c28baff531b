"""``/ledger``: find a record, check it in the browser, take it away."""

from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views.ledger import ledger_page, proof_document, record_page
from bastide.core.error import NotFound
from bastide.core.ids import RecordId, is_device_id
from bastide.governance.access.roles import Permission

AREAS = ("decision", "enforcement", "operator", "evidence", "enrolment", "policy", "profile", "access", "signing")


def add(routes: Routes, pages: Pages) -> None:
    @routes.get("/ledger", needs=Permission.LEDGER_READ)
    async def ledger(
        request: Request,
        asking: Asking,
        deps: Using,
        kind: Annotated[str, Query(max_length=80)] = "",
        find: Annotated[str, Query(max_length=120)] = "",
        before: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        wanted = find.strip()
        if wanted and not is_device_id(wanted) and ":" not in wanted:
            try:
                found = await record_page(deps.ledger, reader(deps, asking), RecordId(wanted))
            except NotFound:
                pass
            else:
                address = f"/ledger/{found.record.id}"
                if "HX-Request" in request.headers:
                    return Response(status_code=204, headers={**HEADERS, "HX-Redirect": address})
                return RedirectResponse(address, 303, {**HEADERS})
        shown = await ledger_page(deps.ledger, reader(deps, asking), kind=kind, find=wanted, before=before)
        return await pages.show(
            request,
            "ledger_lines.html" if before else "ledger.html",
            "ledger",
            shown=shown,
            areas=AREAS,
        )

    @routes.get("/ledger/{record}", needs=Permission.LEDGER_READ)
    async def one_record(request: Request, asking: Asking, deps: Using, record: str) -> Response:
        shown = await record_page(deps.ledger, reader(deps, asking), RecordId(record[:64]))
        return await pages.show(request, "record.html", "ledger", shown=shown)

    @routes.get("/ledger/{record}/proof", needs=Permission.LEDGER_READ)
    async def proof(asking: Asking, deps: Using, record: str) -> Response:
        """All that a browser needs to check that the record is in the tree, and nothing that it must believe."""
        shown = await record_page(deps.ledger, reader(deps, asking), RecordId(record[:64]))
        document: dict[str, Any] = proof_document(await deps.ledger.prove(shown.record.id), pages.checkpoint_key)
        return JSONResponse(document, headers={**HEADERS})
