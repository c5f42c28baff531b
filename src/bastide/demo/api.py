"""The part of /api/v1 that the demo uses, in the operator's name."""

import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from bastide.core.error import Refused, Unavailable
from bastide.core.ids import DeviceId
from bastide.testing.fleet.est import Claim

TIMEOUT_S = 15.0


class API:
    """``async with API(base, root, token) as api``. Lets out ``Refused`` with the API's own sentence, and ``Unavailable``."""

    def __init__(self, base: str, root: Path, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{base}/api/v1",
            verify=ssl.create_default_context(cafile=str(root)),
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def put_profile(self, document: str, owner: str, site: str) -> None:
        await self._ask("POST", "/profiles", json={"document": document, "owner": owner, "site": site})

    async def claim(self, device_class: str, name: str, owner: str, site: str) -> Claim:
        """A one-time claim for one device of a class."""
        body = {"device_class": device_class, "owner": owner, "site": site, "name": name}
        made = await self._ask("POST", "/claims", json=body)
        return Claim(made["username"], made["password"])

    async def devices(self) -> dict[DeviceId, dict[str, Any]]:
        """Every device by id."""
        found: dict[DeviceId, dict[str, Any]] = {}
        after = ""
        while True:
            page = await self._ask("GET", "/devices", params={"limit": 500, "after": after})
            found |= {DeviceId(each["id"]): each for each in page["items"]}
            if not page["next"]:
                return found
            after = page["next"]

    async def device(self, device: DeviceId) -> dict[str, Any]:
        answer: dict[str, Any] = await self._ask("GET", f"/devices/{device}")
        return answer

    async def explanation(self, device: DeviceId) -> dict[str, Any]:
        answer: dict[str, Any] = await self._ask("GET", f"/devices/{device}/explanation")
        return answer

    async def enforcement(self, device: DeviceId) -> dict[str, Any]:
        answer: dict[str, Any] = await self._ask("GET", f"/devices/{device}/enforcement")
        return answer

    async def quarantine(self, device: DeviceId, reason: str) -> dict[str, Any]:
        answer: dict[str, Any] = await self._ask("POST", f"/devices/{device}/quarantine", json={"reason": reason})
        return answer

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = await self._client.request(method, path, **more)
        except httpx.TransportError as broken:
            raise Unavailable(f"The controller at {self._client.base_url} does not answer: {broken}") from broken
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            detail = str(answer.json().get("detail") or answer.text)
        except ValueError:
            detail = answer.text
        kind = Unavailable if answer.status_code == 503 else Refused
        raise kind(f"The controller refused {method} {path} ({answer.status_code}): {detail[:500]}")
