"""The broker's side of the controller, put together: what to write before the server starts, and what to run after.

write_broker_config(directory, config)                 # before nats-server starts: nats/nats.conf, keys, authorities
broker = BrokerSide(directory, url, ...)               # no connection yet; enforcer answers Unavailable until then
Governing(..., enforcers=[broker.enforcer, ...])
await broker.run()                                     # until cancelled; broker.ready is set when devices may connect
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg

from bastide.adapters.datadir.layout import DataDirectory
from bastide.adapters.nats.callout import CalloutService
from bastide.adapters.nats.config import DEVICES, Listener, ServerConfig, render
from bastide.adapters.nats.connection import Cluster, connect
from bastide.adapters.nats.enforcer import BrokerEnforcer, reconcile
from bastide.adapters.nats.evidence import EvidenceSource
from bastide.adapters.nats.gateways import GatewayItems
from bastide.adapters.nats.plans import Plans
from bastide.adapters.nats.provision import provision_devices, provision_platform
from bastide.adapters.nats.seeds import Part, make_seeds
from bastide.adapters.nats.sessions import Session, Sessions
from bastide.controller.workers.callout import Callout, CertificateState
from bastide.controller.workers.evidence import ACTOR, EvidenceWorker, SeenWorker
from bastide.controller.workers.gateways import GatewayEnforcer
from bastide.controller.workers.violations import Violations
from bastide.core.audit import Record
from bastide.core.error import BastideError, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.ids import DeviceId, ProfileName
from bastide.core.plan import Outcome, Plan, Point
from bastide.flows.take_evidence import take_evidence
from bastide.network.broker.connect import ConnectRequest
from bastide.ports.clock import Clock, Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.stores import Stores
from bastide.ports.platform.units import UnitsOfWork

LOG = logging.getLogger("bastide.broker")

RETRY_SECONDS = 0.2
TELL_SECONDS = 0.5
LOG_NAME, CONFIG_NAME, PID_NAME = "server.log", "nats.conf", "nats.pid"
AUTHORITIES_NAME = "device-authorities.pem"
GATEWAYS_NAME = "gateways.json"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def write_broker_config(
    directory: DataDirectory, *, host: str, mqtt_port: int, nats_port: int, name: str = "bastide"
) -> Path:
    """Writes nats/nats.conf, the platform's keys where missing, and the CA file that devices are checked against.

    Gateways come in where the platform's own parts do, so that listener is on this machine alone only where ``host`` is;
    nobody gets in there without a key.
    """
    directory.nats.mkdir(mode=0o700, parents=True, exist_ok=True)
    authorities = directory.nats / AUTHORITIES_NAME
    # Constrained devices send only their leaf: the issuing CAs are anchors beside the roots.
    _write(authorities, "".join((directory.trust / f"{one}.pem").read_text() for one in ("issuing", "root")))
    config = ServerConfig(
        name=name,
        clients=Listener("127.0.0.1" if host in _LOOPBACK else "0.0.0.0", nats_port),  # noqa: S104
        mqtt=Listener(host, mqtt_port),
        certificate=directory.tls / "nats.pem",
        key=directory.tls / "nats.key",
        device_authorities=authorities,
        store=directory.nats / "store",
        log=directory.nats / LOG_NAME,
        pid=directory.nats / PID_NAME,
        issuer=_issuer(directory),
        keys=make_seeds(directory.nats),
        gateways=read_gateways(directory),
    )
    path = directory.nats / CONFIG_NAME
    _write(path, render(config))
    return path


def read_gateways(directory: DataDirectory) -> dict[str, str]:
    """The gateways that were registered: the public nkey of each, by its device id."""
    try:
        found = json.loads((directory.nats / GATEWAYS_NAME).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{directory.nats / GATEWAYS_NAME} cannot be read: {error}.", code="gateway:registry"
        ) from error
    return {str(device): str(key) for device, key in found.items()}


@dataclass(slots=True)
class _Open:
    """What is there while the broker answers."""

    platform: Client
    system: Client
    steward: Client
    plans: Plans
    sessions: Sessions
    enforcer: BrokerEnforcer


class BrokerSide:
    """Callouts, sessions, plans, violations and evidence of one controller."""

    def __init__(
        self,
        directory: DataDirectory,
        url: str,
        stores: Stores,
        units: UnitsOfWork,
        certificate_state: CertificateState,
        signer: Signer,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._directory = directory
        self._cluster = Cluster(url, directory.trust / "root.pem", directory.nats)
        self._stores = stores
        self._units = units
        self._certificate_state = certificate_state
        self._signer = signer
        self._clock = clock
        self._ids = ids
        self._open: _Open | None = None
        self.ready = asyncio.Event()
        self.enforcer = _Enforcer(self)
        self.network = GatewayEnforcer(stores, units, signer, clock, ids)
        self.network.gateways = [DeviceId(device) for device in read_gateways(directory)]
        self.rewrite: Callable[[], object] = lambda: None
        self.seen = SeenWorker(units)
        self._renewed = asyncio.Event()
        self._profiles: asyncio.Queue[ProfileName] = asyncio.Queue()

    @property
    def open(self) -> _Open:
        if self._open is None:
            raise Unavailable(
                "The broker is not connected yet; what it must hold is handed to it when it is.",
                code="nats:unavailable",
            )
        return self._open

    def heard(self, records: Sequence[Record]) -> None:
        """What was committed: a changed profile must reach ingest although no plan changes."""
        for record in records:
            if record.kind.startswith("profile:"):
                self._profiles.put_nowait(ProfileName(record.subject.partition(":")[2]))

    def certificate_renewed(self) -> None:
        """The broker's own certificate was replaced on disk; the server is told to read it again.

        nats-server asks for every connection again when it reads its configuration: each device reconnects once."""
        self._renewed.set()

    def register_gateway(self, gateway: DeviceId, key: str) -> None:
        """Lets a gateway in by its key.

        nats-server reads no new keys while it runs (those of an auth callout are fixed at its start): it is ended here, and
        started again by whoever started it, with the new configuration. Devices reconnect once; nothing kept is lost."""
        registered = read_gateways(self._directory)
        if registered.get(gateway) != key:
            _write(self._directory.nats / GATEWAYS_NAME, json.dumps(registered | {gateway: key}, indent=1))
            self.rewrite()
            self._restart()
        self.network.gateways = [DeviceId(device) for device in read_gateways(self._directory)]

    def _restart(self) -> None:
        try:
            pid = int((self._directory.nats / PID_NAME).read_text())
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError) as error:
            LOG.warning("the broker must be started again before the new gateway is let in: %s", error)

    def session_count(self) -> int:
        """How many devices' connections live, as the broker tells."""
        return self._open.sessions.count() if self._open else 0

    async def run(self) -> None:
        """Until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            opened = await self._connect(stack)
            callout = Callout(
                opened.plans,
                self._certificate_state,
                self._signer,
                lambda request, device, generation: opened.sessions.admitted(_session(request, device, generation)),
                self._clock,
                self._ids,
                issuer=_issuer(self._directory),
                account=DEVICES,
            )
            self._open = opened
            items = GatewayItems(opened.platform, self.network.said)
            await items.start()
            self.network.items = items
            violations = Violations(
                self._directory.nats / LOG_NAME,
                lambda: _server_id(opened.system),
                opened.sessions.whose,
                self._take,
                self._clock,
                self._ids,
            )
            await self._handed(opened)
            await CalloutService(opened.platform, callout.decide).start()
            await self._repeat("waiting connections", lambda: _again(opened.sessions))
            self.ready.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(violations.run())
                group.create_task(EvidenceWorker(EvidenceSource(opened.platform), self._units).run())
                group.create_task(self.seen.run())
                group.create_task(self._tell_refusals(callout))
                group.create_task(self._hand_on_profiles(opened))
                group.create_task(self._reload(opened))
                group.create_task(self.network.run())

    async def _connect(self, stack: contextlib.AsyncExitStack) -> _Open:
        """The three connections, each with what must be there before devices may come."""

        async def steward_back() -> None:
            await self._repeat("the devices' streams", lambda: provision_devices(steward))

        async def system_back() -> None:
            await self._repeat("the sessions", sessions.recount)

        async def platform_back() -> None:
            await self._repeat("the platform's streams", lambda: provision_platform(platform))
            await self._repeat("the plans", plans.load)
            await self._repeat("waiting connections", lambda: _again(sessions))

        steward = await self._until_connected(Part.STEWARD, steward_back)
        stack.push_async_callback(steward.close)
        await _until(lambda: provision_devices(steward))
        system = await self._until_connected(Part.SYSTEM, system_back)
        stack.push_async_callback(system.close)
        sessions = Sessions(system)
        await _until(sessions.start)
        platform = await self._until_connected(Part.CONTROLLER, platform_back)
        stack.push_async_callback(platform.close)
        await _until(lambda: provision_platform(platform))
        plans = Plans(platform)
        await _until(lambda: plans.start(answer=False))

        async def seen(message: Msg) -> None:
            self.seen.heard(message.data)

        await platform.subscribe("seen.*", cb=seen)
        enforcer = BrokerEnforcer(plans, sessions, self._stores.devices, self._stores.catalogue, self._clock)
        return _Open(platform, system, steward, plans, sessions, enforcer)

    async def _handed(self, opened: _Open) -> None:
        handed = await _until(lambda: reconcile(opened.plans, opened.enforcer, self._stores))
        if handed:
            LOG.info("the broker was handed %d plans that it did not hold", handed)

    async def _hand_on_profiles(self, opened: _Open) -> None:
        while True:
            name = await self._profiles.get()
            try:
                handed = await opened.enforcer.profile_changed(name)
            except BastideError as error:
                LOG.warning("the profile %s did not reach ingest yet: %s", name, error.sentence)
                await asyncio.sleep(TELL_SECONDS)
                self._profiles.put_nowait(name)
            else:
                LOG.info("the profile %s was handed on for %d devices", name, handed)

    async def _reload(self, opened: _Open) -> None:
        while True:
            await self._renewed.wait()
            self._renewed.clear()
            try:
                await opened.sessions.reload()
            except BastideError as error:
                LOG.warning("%s", error.sentence)
                await asyncio.sleep(TELL_SECONDS)
                self._renewed.set()

    async def _until_connected(self, part: Part, back: "Back") -> Client:
        return await _until(lambda: connect(self._cluster, part, on_reconnect=back))

    async def _repeat(self, what: str, step: "Step") -> None:
        """After a reconnect; what cannot be done now is done at the next one."""
        try:
            await step()
        except BastideError as error:
            LOG.warning("%s: %s", what, error.sentence)

    async def _take(self, facts: Sequence[Evidence]) -> None:
        await take_evidence(facts, self._units, ACTOR)

    async def _tell_refusals(self, callout: Callout) -> None:
        kept: list[Evidence] = []
        while True:
            await asyncio.sleep(TELL_SECONDS)
            kept += callout.refusals.due(self._clock.now())
            if not kept:
                continue
            try:
                await self._take(kept)
                kept = []
            except BastideError as error:
                LOG.warning("%s", error.sentence)
                del kept[:-1000]


class _Enforcer:
    """Implements ports.network.Enforcer by the broker's, from the moment that the broker is connected."""

    point = Point.BROKER

    def __init__(self, side: BrokerSide) -> None:
        self._side = side

    async def apply(self, plan: Plan) -> Outcome:
        return await self._side.open.enforcer.apply(plan)


Step = Callable[[], Awaitable[None]]
Back = Callable[[], Awaitable[None]]
T = TypeVar("T")


async def _until(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries until the broker answers."""
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            LOG.info("%s", error.sentence)
            await asyncio.sleep(RETRY_SECONDS)


async def _again(sessions: Sessions) -> None:
    """Devices that connected while nobody answered are sent away, to come again now."""
    ended = await sessions.end_unanswered()
    if ended:
        LOG.info("%d connections that waited for nobody were ended", ended)


def _session(request: ConnectRequest, device: DeviceId, generation: int) -> Session:
    return Session(request.server, request.client, device, generation)


def _server_id(client: Client) -> str:
    return str(client._server_info.get("server_id", ""))


def _issuer(directory: DataDirectory) -> str:
    return (directory.trust / "devices-account.pub").read_text().strip()


def _write(path: Path, text: str) -> None:
    aside = path.with_suffix(path.suffix + ".new")
    aside.write_text(text)
    aside.chmod(0o600)
    aside.replace(path)
