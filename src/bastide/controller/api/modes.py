"""Whether profiles are enforced or only observed: for a device, a profile, or a zone."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Path, Response
from pydantic import Field

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.deps import Deps
from bastide.controller.api.devices import within_scope
from bastide.controller.api.models import Answer, Asked, DeviceIn, Page, Sentence
from bastide.controller.api.network import ProfileIn
from bastide.controller.api.routes import Routes, documented
from bastide.core.ids import DeviceId
from bastide.core.mode import Over, Setting
from bastide.core.plan import NetworkMode
from bastide.flows.enforce_reach import LIMIT, enforce, inherit, observe
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

routes = Routes("", "network")

ZoneIn = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="The zone's name.")]


class ModeAsked(Asked):
    """``enforce`` is refused where a device would lose more than ``limit`` (a share) of what it was answered in the last seven
    days, unless ``anyway``; for ``probation_minutes`` a device that does lose more goes back to observe by itself."""

    mode: NetworkMode
    reason: Sentence
    limit: Annotated[float, Field(gt=0, le=1)] = LIMIT
    probation_minutes: Annotated[int, Field(ge=1, le=1440, strict=True)] = 15
    anyway: Annotated[bool, Field(strict=True)] = False


class ModeOut(Answer):
    """``over`` is what it is set for, by ``name``. ``probation_ends`` is null where nobody looks."""

    over: Over
    name: str
    mode: NetworkMode
    reason: str
    by: str
    at: datetime
    limit: float
    probation_ends: datetime | None


@routes.get("/modes", needs=Permission.PROFILE_READ)
async def list_modes(asking: Asking, deps: Using) -> Page[ModeOut]:
    """The modes that are set, as far as whoever asks may see what they are set for."""
    found = await deps.governing.stores.network.modes()
    return Page(items=[_out(one) for one in found if await _sees(one, asking, deps)])


@routes.put("/devices/{device}/mode", needs=Permission.DEVICE_ACT, responses={404: documented(404)})
async def set_device_mode(device: DeviceIn, asked: ModeAsked, asking: Asking, deps: Using) -> ModeOut:
    """Observes or enforces what the profile says of one device."""
    found = await within_scope(device, asking, deps)
    return await _set(Over.DEVICE, found.id, asked, asking, deps)


@routes.put("/profiles/{profile}/mode", needs=Permission.PROFILE_CHANGE, responses={404: documented(404)})
async def set_profile_mode(profile: ProfileIn, asked: ModeAsked, asking: Asking, deps: Using) -> ModeOut:
    """Observes or enforces a profile."""
    return await _set(Over.PROFILE, profile, asked, asking, deps)


@routes.put("/zones/{zone}/mode", needs=Permission.PROFILE_CHANGE, responses={404: documented(404)})
async def set_zone_mode(zone: ZoneIn, asked: ModeAsked, asking: Asking, deps: Using) -> ModeOut:
    """Observes or enforces what the profiles of a zone's devices say."""
    return await _set(Over.ZONE, zone, asked, asking, deps)


@routes.delete("/devices/{device}/mode", needs=Permission.DEVICE_ACT, status_code=204, responses={404: documented(404)})
async def end_device_mode(device: DeviceIn, asking: Asking, deps: Using) -> Response:
    """Takes a device's mode back: its profile's or its zone's counts again."""
    found = await within_scope(device, asking, deps)
    return await _end(Over.DEVICE, found.id, asking, deps)


@routes.delete(
    "/profiles/{profile}/mode", needs=Permission.PROFILE_CHANGE, status_code=204, responses={404: documented(404)}
)
async def end_profile_mode(profile: ProfileIn, asking: Asking, deps: Using) -> Response:
    """Takes a profile's mode back: its devices' zone counts, or it is enforced."""
    return await _end(Over.PROFILE, profile, asking, deps)


@routes.delete("/zones/{zone}/mode", needs=Permission.PROFILE_CHANGE, status_code=204, responses={404: documented(404)})
async def end_zone_mode(zone: ZoneIn, asking: Asking, deps: Using) -> Response:
    """Takes a zone's mode back."""
    return await _end(Over.ZONE, zone, asking, deps)


async def _set(over: Over, name: str, asked: ModeAsked, asking: Principal, deps: Deps) -> ModeOut:
    if asked.mode is NetworkMode.OBSERVE:
        return _out(await observe(over, name, asked.reason, asking.actor, deps.governing))
    done = await enforce(
        over,
        name,
        asked.reason,
        asking.actor,
        deps.governing,
        limit=asked.limit,
        probation=timedelta(minutes=asked.probation_minutes),
        anyway=asked.anyway,
    )
    return _out(done.setting)


async def _end(over: Over, name: str, asking: Principal, deps: Deps) -> Response:
    await inherit(over, name, asking.actor, deps.governing)
    return Response(status_code=204)


async def _sees(one: Setting, asking: Principal, deps: Deps) -> bool:
    if one.over is not Over.DEVICE:
        return True
    return asking.sees(await deps.governing.stores.devices.get(DeviceId(one.name)))


def _out(one: Setting) -> ModeOut:
    return ModeOut.model_validate(one)
