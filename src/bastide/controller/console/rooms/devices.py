"""``/devices``: the table, a device's page, and the acts on a device with a preview before each."""

from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views import acts
from bastide.controller.console.views.device import RANGES, WEEK, device_page, verdict
from bastide.controller.console.views.devices import COLUMNS, GROUPS, USUAL, Asked, devices, rows_of
from bastide.controller.console.views.network import size
from bastide.controller.console.views.questions import fields_of, service
from bastide.core.error import NotFound, Refused
from bastide.core.ids import DeviceClass, DeviceId, is_device_id
from bastide.core.standing import Stage, Standing
from bastide.flows import operator_acts
from bastide.flows.keep_views import remove_view as remove_view_of
from bastide.flows.keep_views import save_view as save_view_of
from bastide.flows.show_reach import show_reach
from bastide.governance.access.roles import Permission
from bastide.operations.inventory.attributes import EVIDENCE
from bastide.ports.platform.credentials import CredentialReads
from bastide.ports.platform.rollouts import RolloutReads

Texts = Annotated[list[str], Query(max_length=64)]
MOST_ROWS = 200
MOST_FLOWS = 40
"""Of one device on its page; the rest is counted."""
HEARD = 12


def add(routes: Routes, pages: Pages, credentials: CredentialReads, rollouts: RolloutReads) -> None:
    @routes.get("/devices", needs=Permission.FLEET_READ)
    async def devices_page(
        request: Request,
        asking: Asking,
        deps: Using,
        text: Annotated[str, Query(max_length=200)] = "",
        standing: Texts = [],  # noqa: B006 - FastAPI copies the default
        of_class: Annotated[list[str], Query(alias="class", max_length=64)] = [],  # noqa: B006
        group: Annotated[str, Query(max_length=32)] = "",
        column: Texts = [],  # noqa: B006
        after: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        asked = Asked(
            text=text.strip(),
            standings=tuple(each for each in Standing if each.value in standing),
            classes=tuple(DeviceClass(each) for each in of_class),
            group=group if group in GROUPS else "",
            columns=_columns(column),
            after=after,
        )
        stores = deps.governing.stores
        found = await devices(stores, reader(deps, asking), asked, deps.clock.now())
        more = "/devices?" + asked.query(after=found.next_after)
        if after:
            return await pages.show(request, "device_rows.html", found=found, more=more)
        return await pages.show(
            request,
            "devices.html",
            "devices",
            found=found,
            more=more,
            groups=GROUPS,
            all_columns=COLUMNS,
            views=await stores.views.of(asking.person),
            me=asking.person,
        )

    @routes.post("/devices/views", needs=Permission.ACCOUNT_OWN)
    async def save_view(
        asking: Asking,
        deps: Using,
        name: Annotated[str, Form(max_length=80)] = "",
        query: Annotated[str, Form(max_length=2000)] = "",
        shared: Annotated[str, Form(max_length=3)] = "",
    ) -> Response:
        """Keeps what the table shows under a name."""
        await save_view_of(asking.person, name, query, shared == "yes", asking.actor, deps.governing)
        return RedirectResponse(f"/devices?{query}", 303, {**HEADERS})

    @routes.post("/devices/views/remove", needs=Permission.ACCOUNT_OWN)
    async def remove_view(asking: Asking, deps: Using, name: Annotated[str, Form(max_length=80)] = "") -> Response:
        await remove_view_of(asking.person, name, asking.actor, deps.governing)
        return RedirectResponse("/devices", 303, {**HEADERS})

    @routes.get("/devices/rows", needs=Permission.FLEET_READ)
    async def device_rows(
        request: Request,
        asking: Asking,
        deps: Using,
        id: Annotated[list[str], Query(max_length=MOST_ROWS)],
        column: Texts = [],  # noqa: B006
    ) -> Response:
        """The rows of named devices as they are now, for a table that is open."""
        ids = [DeviceId(each) for each in id if is_device_id(each)]
        columns = _columns(column)
        rows = await rows_of(deps.governing.stores, reader(deps, asking), ids, columns, deps.clock.now())
        shown = tuple(each for each in COLUMNS if each.key in columns)
        return await pages.show(
            request, "device_rows.html", found={"rows": rows, "next_after": "", "columns": shown}, more=""
        )

    @routes.get("/devices/{device}", needs=Permission.FLEET_READ)
    async def one_device(request: Request, asking: Asking, deps: Using, device: str, range: str = "") -> Response:
        shown = await device_page(
            deps.governing.stores, deps.ledger, deps.samples, _id(device), reader(deps, asking), deps.clock.now(), range
        )
        if shown is None:
            raise _nowhere(device)
        reach = await show_reach(shown.device, WEEK, deps.governing)
        may_act = asking.may(Permission.DEVICE_ACT)
        return await pages.show(
            request,
            "device.html",
            "devices",
            shown=shown,
            reach=reach,
            heard=[(one, shown.device) for one in reach.heard[:HEARD]],
            unpermitted=reach.unpermitted[:MOST_FLOWS],
            service=service,
            asks=lambda flow: urlencode(fields_of(flow)),
            may_permit=asking.may(Permission.PROFILE_CHANGE),
            may_rule=may_act,
            size=size,
            because=[each.value for each in shown.device.attributes if each.name == EVIDENCE][:6],
            verdict=verdict(shown),
            certificates=await credentials.certificates(shown.device.id, 5),
            running=await rollouts.running(shown.device.id),
            update_parts=await rollouts.parts_of(shown.device.id, 5),
            ranges=tuple(RANGES),
            may_release=may_act and shown.device.standing in acts.MAY_RELEASE,
            may_retire=may_act and shown.device.stage is not Stage.RETIRED,
            may_quarantine=may_act and shown.device.standing in acts.MAY_QUARANTINE,
            may_break_glass=asking.may(Permission.DEVICE_BREAK_GLASS) and shown.device.standing in acts.MAY_RELEASE,
        )

    def act(key: str, needs: Permission) -> None:
        """The preview of an act, and the act. Both look at the device as it is at that moment."""

        async def preview(
            request: Request, asking: Asking, deps: Using, device: str, standing: Standing = Standing.TRUSTED
        ) -> Response:
            found = await deps.governing.stores.devices.get(_id(device))
            if not asking.scope.covers(found):
                raise _nowhere(device)
            shown = await acts.preview(key, found, deps.governing, deps.clock.now(), standing)
            return await pages.show(request, "act.html", device=found, act=shown, error="")

        async def carry_out(
            request: Request,
            asking: Asking,
            deps: Using,
            device: str,
            reason: Annotated[str, Form(max_length=operator_acts.MAX_REASON)] = "",
            standing: Annotated[Standing, Form()] = Standing.TRUSTED,
            hours: Annotated[int, Form(ge=1, le=24)] = 1,
        ) -> Response:
            found = await deps.governing.stores.devices.get(_id(device))
            if not asking.scope.covers(found):
                raise _nowhere(device)
            try:
                if key == "quarantine":
                    await operator_acts.quarantine(found.id, reason, asking.actor, deps.governing, deps.ids)
                elif key == "release":
                    await operator_acts.release(found.id, reason, asking.actor, deps.governing, deps.ids)
                elif key == "retire":
                    await operator_acts.retire(found.id, reason, asking.actor, deps.governing)
                else:
                    await operator_acts.break_glass(
                        found.id, standing, reason, timedelta(hours=hours), asking.actor, deps.governing, deps.ids
                    )
            except Refused as error:
                shown = await acts.preview(key, found, deps.governing, deps.clock.now(), standing)
                return await pages.show(request, "act.html", status=422, device=found, act=shown, error=error.sentence)
            if "HX-Request" in request.headers:
                return Response(status_code=204, headers={**HEADERS, "HX-Trigger": "acted"})
            return RedirectResponse(f"/devices/{found.id}", 303, {**HEADERS})

        preview.__name__, carry_out.__name__ = f"{key}_preview", f"{key}_act"
        routes.get(f"/devices/{{device}}/acts/{key}", needs=needs)(preview)
        routes.post(f"/devices/{{device}}/acts/{key}", needs=needs)(carry_out)

    act("quarantine", Permission.DEVICE_ACT)
    act("release", Permission.DEVICE_ACT)
    act("break-glass", Permission.DEVICE_BREAK_GLASS)
    act("retire", Permission.DEVICE_ACT)


def _columns(asked: list[str]) -> tuple[str, ...]:
    """The chosen columns in the order of the table; none chosen means the usual ones."""
    return tuple(each.key for each in COLUMNS if each.key in asked) or USUAL


def _id(text: str) -> DeviceId:
    if not is_device_id(text):
        raise _nowhere(text)
    return DeviceId(text)


def _nowhere(device: str) -> NotFound:
    return NotFound(
        f"There is no device {device[:40]!r} that you may see. The table of devices shows those that there are."
    )
