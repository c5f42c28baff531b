"""Turning a view into a page: the template environment, what every page shows around itself, and its headers.

Templates escape everything; the app's content policy (our own files, no inline script or style) keeps a device's name from
becoming code even if one forgot to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from bastide.controller.api.access import csrf_of, deps_of
from bastide.controller.api.deps import Deps
from bastide.controller.console.assets import Assets
from bastide.controller.console.views import words
from bastide.controller.console.views.charts import BAR_ORDER
from bastide.controller.console.views.reader import Reader
from bastide.core.standing import Standing
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.governance.access.session import IDLE_LIMIT

THEME_COOKIE = "bastide-theme"

# The app puts the content policy and the other security headers on every answer (controller/api/app.py).
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    # htmx asks for parts of the same addresses; nobody may answer one with the other.
    "Vary": "Cookie, HX-Request",
}


@dataclass(frozen=True, slots=True)
class Room:
    key: str
    name: str
    href: str
    words: str


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    name: str
    href: str
    kind: str
    icon: str
    words: str


_P = Permission

ROOMS: tuple[tuple[Permission, Room], ...] = (
    (Permission.FLEET_READ, Room("watch", "Watch", "/", "home overview start what is wrong")),
    (Permission.FLEET_READ, Room("devices", "Devices", "/devices", "fleet table list things")),
    (
        Permission.FLEET_READ,
        Room("network", "Network", "/network", "map peers traffic conversations who speaks to whom"),
    ),
    (Permission.FLEET_READ, Room("releases", "Releases", "/releases", "updates rollouts firmware versions")),
    (Permission.LEDGER_READ, Room("ledger", "Ledger", "/ledger", "records audit proof verify checkpoint")),
    (
        Permission.ACCOUNT_OWN,
        Room("settings", "Settings", "/settings", "people tokens policy waivers classes keys passkeys"),
    ),
)

_PALETTE: tuple[tuple[Permission, PaletteEntry], ...] = (
    (_P.CLAIM_CHANGE, PaletteEntry("Enrol a device", "/enrol", "Act", "enrol", "claim add new est certificate")),
    (_P.FLEET_READ, PaletteEntry("In quarantine", "/devices?standing=quarantined", "Filter", "devices", "cut off")),
    (_P.FLEET_READ, PaletteEntry("Restricted", "/devices?standing=restricted", "Filter", "devices", "less")),
    (_P.POLICY_READ, PaletteEntry("Policy", "/settings/policy", "Settings", "settings", "rules simulate")),
    (_P.LEDGER_READ, PaletteEntry("Keys and certificates", "/settings/keys", "Settings", "seal", "tls root expiry")),
    (_P.WAIVER_READ, PaletteEntry("Waivers", "/settings/waivers", "Settings", "settings", "exceptions")),
    (
        _P.PROFILE_READ,
        PaletteEntry("Classes and profiles", "/settings/classes", "Settings", "settings", "kinds topics"),
    ),
    (_P.PEOPLE_READ, PaletteEntry("People and roles", "/settings/people", "Settings", "settings", "users accounts")),
    (_P.TOKEN_OWN, PaletteEntry("API tokens", "/settings/tokens", "Settings", "key", "scripts api")),
    (_P.ACCOUNT_OWN, PaletteEntry("Password and passkeys", "/settings/account", "Settings", "key", "account sign in")),
)


@dataclass(frozen=True, slots=True)
class Page:
    """What every page shows around its own matter."""

    now: datetime
    room: str
    principal: Principal | None
    csrf: str
    theme: str
    quarantined: int

    def may(self, permission: str) -> bool:
        return self.principal is not None and self.principal.may(Permission(permission))

    @property
    def idle_s(self) -> int:
        """After so many seconds in which nobody touched a page, it signs out by itself."""
        return int(IDLE_LIMIT.total_seconds())

    @property
    def rooms(self) -> list[Room]:
        return [room for permission, room in ROOMS if self.may(permission)]

    @property
    def palette(self) -> list[PaletteEntry]:
        return [entry for permission, entry in _PALETTE if self.may(permission)]


def reader(deps: Deps, asking: Principal) -> Reader:
    """Whoever asks, as the views know them."""
    return Reader(deps.governing.stores, deps.door.reads, asking)


class Pages:
    """Renders templates; one per process. ``checkpoint_key`` is the ledger's verifier key (C2SP), for the browser's check."""

    def __init__(self, assets: Assets, checkpoint_key: str) -> None:
        self.assets = assets
        self.checkpoint_key = checkpoint_key
        self._templates = Environment(
            loader=PackageLoader("bastide.controller.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
        )
        self._templates.globals |= {"asset": assets.address, "bar_order": BAR_ORDER}
        self._templates.filters |= {
            "exact": words.exact,
            "iso": lambda moment: moment.isoformat(timespec="milliseconds"),
            "number": lambda value: f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
            "counted": words.counted,
            "sentence": _sentence,
            "lasting": words.lasting,
            "browser": words.browser,
            "observed": words.observed,
            "whole": words.whole,
            "day_before": lambda moment: moment - timedelta(hours=23, minutes=59),
        }

    async def show(
        self, request: Request, template: str, room: str = "", *, status: int = 200, whole: bool = False, **matter: Any
    ) -> HTMLResponse:
        """The page as an answer. ``matter`` is what the template shows."""
        principal: Principal | None = getattr(request.state, "principal", None)
        deps = deps_of(request)
        # A part of a page (asked for by htmx) does not show the rooms.
        whole = whole or "HX-Request" not in request.headers
        counts = await deps.governing.stores.devices.count_by_standing(principal.scope) if principal and whole else {}
        theme = request.cookies.get(THEME_COOKIE, "")
        page = Page(
            now=deps.clock.now(),
            room=room or _room_of(request.headers.get("HX-Current-URL", "")),
            principal=principal,
            csrf=csrf_of(request) if principal else "",
            theme=theme if theme in ("dark", "light") else "",
            quarantined=counts.get(Standing.QUARANTINED, 0),
        )
        return HTMLResponse(self.text(template, page, **matter), status, HEADERS)

    def text(self, template: str, page: Page, **matter: Any) -> str:
        """The page as text; times are said relative to ``page.now``."""
        ago = {"ago": lambda moment: words.ago(moment, page.now)}
        overlay = self._templates.overlay()
        overlay.filters = self._templates.filters | ago
        return overlay.get_template(template).render(page=page, **matter)


def _sentence(text: str) -> str:
    """The first letter capital, the rest untouched."""
    return text[:1].upper() + text[1:]


def _room_of(address: str) -> str:
    """The room that a page is in, by the address that htmx says it is at."""
    path = urlsplit(address).path
    inside = [room for _, room in ROOMS if path == room.href or (room.href != "/" and path.startswith(room.href + "/"))]
    return inside[0].key if inside else ""
