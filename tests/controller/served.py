"""A house behind a real port: uvicorn in a thread with a loop of its own, with TLS where a certificate is handed in."""

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import uvicorn

from bastide.adapters.sql.rollouts import RolloutReads
from bastide.adapters.sql.units import SQLUnitsOfWork
from bastide.controller.api.app import openapi
from bastide.core.ids import DeviceClass
from bastide.flows.propose_rollout import Rolling, propose
from bastide.governance.access.roles import Role
from bastide.operations.rollout.rollout import Target, Terms
from bastide.testing.releases import LAMP_2, MemoryReleases
from tests.controller.house import LAMP, House, open_house

NOBODY = "nobody"


class Served:
    """A house behind a port. ``tokens`` has one for each role."""

    def __init__(self, migrated: Path, folder: Path, tls: tuple[Path, Path] | None = None) -> None:
        self._tls = tls
        self._migrated = migrated
        self._folder = folder
        self._socket = socket.create_server(("127.0.0.1", 0))
        host = "https://localhost" if tls else "http://127.0.0.1"
        self.url = f"{host}:{self._socket.getsockname()[1]}"
        self.document: dict[str, Any] = {}
        self.tokens: dict[str, str] = {NOBODY: ""}
        self.there: dict[str, str] = {"device": LAMP, "profile": "generic"}
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="served-house")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30), "the app did not come up"
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(30)
        self._socket.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._failed = error
            self._ready.set()

    async def _serve(self) -> None:
        async with open_house(self._migrated, self._folder) as house:
            await self._prepare(house)
            config = uvicorn.Config(house.app, log_level="critical", lifespan="off", timeout_graceful_shutdown=2)
            if self._tls is not None:
                config.ssl_certfile, config.ssl_keyfile = map(str, self._tls)
            self._server = uvicorn.Server(config)
            serving = asyncio.create_task(self._server.serve([self._socket]))
            self._ready.set()  # the socket listens already; whoever asks early waits in its queue
            await serving

    async def _prepare(self, house: House) -> None:
        for role in Role:
            person = await house.person(role.value, role)
            self.tokens[role] = await house.token(person)
        self.there["person"] = person.id
        browser = await house.signed_in(person)
        self.there["session"] = (await browser.get("/me/sessions")).json()["items"][0]["id"]
        await browser.aclose()
        self.there["record"] = house.records[-1].id
        used = {token.id for token in await house.door.reads.tokens(None, 100)}
        await house.token(person)  # one that nobody here uses, to be revoked
        self.there["token"] = next(one.id for one in await house.door.reads.tokens(None, 100) if one.id not in used)
        units = SQLUnitsOfWork(house.database, house.clock, house.deps.ids)
        rolling = Rolling(units, RolloutReads(house.database), MemoryReleases(), house.clock, house.deps.ids)
        target = Target(DeviceClass("sensor"))
        self.there["rollout"] = (await propose(LAMP_2, target, Terms(), "system:test", person.id, rolling)).id
        self.document = openapi(house.app)
        await house.deps.ledger.integrated(house.records[-1].id)
        house.live.close()  # a live stream ends at once, so that its answer can be looked at
