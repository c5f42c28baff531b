"""Puts a gateway's processes together."""

import asyncio
import logging
import os
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.oid import NameOID

from bastide.adapters.gateway.journal import ItemFile
from bastide.adapters.gateway.privilege import NET_ADMIN, become, die_with_parent, keep_only
from bastide.adapters.nats.connection import connect_as
from bastide.adapters.nats.gateways import OwnItems
from bastide.adapters.nftables.kernel import KernelFilter
from bastide.adapters.nftables.netlink import LogReader
from bastide.core.error import BastideError, Refused, Unavailable
from bastide.core.ids import DeviceId, is_device_id
from bastide.flows.on_gateway.keep_rules import Keeper
from bastide.gateway.config import GatewayConfig
from bastide.gateway.keeper import KeeperLoop
from bastide.gateway.link import KeeperClient, Link
from bastide.gateway.resolver import Resolver, Server, Upstream
from bastide.network.segmentation.compile import LOG_GROUP, TABLE
from bastide.wire.nkeys import Kind, decode_seed

LOG = logging.getLogger("bastide.gateway")
LINK_FD = "BASTIDE_GATEWAY_LINK_FD"
RESTART_SECONDS = 0.5
PLAN_KEY, NAME, SEED, TRUST, CERTIFICATE = "plan.pub", "gateway.id", "broker.seed", "trust.pem", "certificate.pem"


def keeper_of(config: GatewayConfig) -> Keeper:
    """The keeper on this namespace's kernel, not started."""
    folder = config.rules
    try:
        gateway = (folder / NAME).read_text().strip()
        key = load_pem_public_key((folder / PLAN_KEY).read_bytes())
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"{folder} does not say which gateway this is and whose plans it takes ({error}): run `bastide gateway join`.",
            code="gateway:not-joined",
        ) from error
    if not is_device_id(gateway) or not isinstance(key, Ed25519PublicKey):
        raise Refused(f"{folder} is damaged: run `bastide gateway join` again.", code="gateway:not-joined")
    return Keeper(
        DeviceId(gateway),
        key,
        config.device_ports,
        KernelFilter(),
        ItemFile(folder / "plan.log"),
        lambda: datetime.now(UTC),
        config.repair,
        timedelta(seconds=config.dns_floor_seconds),
        _is_there,
    )


def _is_there(port: str) -> bool:
    try:
        return socket.if_nametoindex(port) > 0
    except OSError:
        return False


def load(config: GatewayConfig) -> int:
    """Loads the last good plan and ends, as at boot before the network is up; the closed rules where there is none."""
    return keeper_of(config).start()


def run_keeper(config: GatewayConfig, link: socket.socket) -> None:
    """The process that may change rules, and nothing else."""
    die_with_parent()
    keep_only((NET_ADMIN,))
    keeper = keeper_of(config)
    held = keeper.start()
    LOG.info("rules in force: %d things, generation %d", held, keeper.generation)
    kernel = KernelFilter()
    loop = KeeperLoop(
        keeper,
        link,
        LogReader(LOG_GROUP),
        lambda: kernel.counters("inet", TABLE),
        check_seconds=config.check_seconds,
        unused=timedelta(days=config.unused_days),
    )
    loop.run()


def run_link(config: GatewayConfig, pair: socket.socket) -> None:
    """The process that speaks with the network, and may change nothing."""
    die_with_parent()
    asyncio.run(_link(config, pair))


async def _link(config: GatewayConfig, pair: socket.socket) -> None:
    identity = config.identity
    gateway = DeviceId((identity / NAME).read_text().strip())
    kind, seed = decode_seed((identity / SEED).read_text().strip())
    if kind is not Kind.USER:
        raise Refused(f"{identity / SEED} is not a user's key: run `bastide gateway join` again.", code="gateway:seed")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    context = ssl.create_default_context(cafile=str(identity / TRUST))
    bound = _bound(config)
    upstream = _upstream(config)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    "warm".encode("idna")  # a codec that Python loads at its first use, from where the new user may not read
    become(config.user)
    keeper = KeeperClient(pair)
    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.run())
        if config.nats:
            group.create_task(_broker(config, gateway, context, key, keeper))
        if upstream is not None:
            resolver = Resolver(keeper, upstream, keeper.event)
            for datagrams, streams in bound:
                await asyncio.get_running_loop().create_datagram_endpoint(lambda: Server(resolver), sock=datagrams)
                group.create_task(_streams(Server(resolver), streams))


def _bound(config: GatewayConfig) -> list[tuple[socket.socket, socket.socket]]:
    """The resolver's sockets, made while port 53 may still be had."""
    made = []
    for address in (one.strip() for one in config.dns_listen.split(",") if one.strip()):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        pair = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
        try:
            for one in pair:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.setblocking(False)
                one.bind((address, 53))
        except OSError as error:
            raise Unavailable(
                f"The resolver cannot listen on {address}, port 53: {error.strerror}.", code="dns:listen"
            ) from error
        pair[1].listen(128)
        made.append(pair)
    return made


def _upstream(config: GatewayConfig) -> Upstream | None:
    """``HOST`` or ``HOST:PORT``; with a name over TLS, port 853 unless another is given. None without a resolver."""
    if not config.dns_listen:
        return None
    host, _, port = (
        config.dns_upstream.partition(":") if config.dns_upstream.count(":") == 1 else (config.dns_upstream, "", "")
    )
    if not host or (port and not port.isdigit()):
        raise Refused("Name the upstream resolver (BASTIDE_GATEWAY_DNS_UPSTREAM).", code="dns:upstream:missing")
    if not config.dns_upstream_name:
        return Upstream(host, int(port or 53))
    authority = None if config.dns_upstream_ca is None else str(config.dns_upstream_ca)
    return Upstream(host, int(port or 853), config.dns_upstream_name, ssl.create_default_context(cafile=authority))


async def _streams(server: Server, listening: socket.socket) -> None:
    async with await asyncio.start_server(server.stream, sock=listening) as serving:
        await serving.serve_forever()


async def _broker(
    config: GatewayConfig, gateway: DeviceId, context: ssl.SSLContext, key: Ed25519PrivateKey, keeper: KeeperClient
) -> None:
    """The broker's side, from the moment that it can be reached; everything else works without it."""
    items: OwnItems | None = None

    async def back() -> None:
        if items is not None:
            items.again()

    while True:
        try:
            client = await connect_as(
                config.nats, context, key, f"gateway-{gateway}", inbox=f"_INBOX_{gateway}", on_reconnect=back
            )
            break
        except Unavailable as error:
            LOG.info("%s", error.sentence)
            await asyncio.sleep(1)
    items = OwnItems(client, gateway)
    link = Link(keeper, items)
    async with asyncio.TaskGroup() as group:
        group.create_task(items.run(link.take))
        group.create_task(link.tell())


def supervise(config: GatewayConfig) -> None:
    """Starts both processes, and both again when one ends. It reads nothing and speaks with nobody."""
    if os.geteuid() != 0:
        raise Unavailable(
            "A gateway changes rules: start it as root; it gives up what it does not need.", code="gateway:root"
        )
    keeper_of(config)  # says what is missing before anything starts
    while True:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            started = [_start("keeper", ours), _start("link", theirs)]
        try:
            while all(one.poll() is None for one in started):
                time.sleep(0.05)
        finally:
            for one in started:
                one.kill()
                one.wait()
        LOG.warning("a process of the gateway ended; the rules stay as they are, both start again")
        time.sleep(RESTART_SECONDS)


def _start(role: str, end: socket.socket) -> "subprocess.Popen[bytes]":
    environment = dict(os.environ) | {LINK_FD: str(end.fileno())}  # noqa: TID251 (handed on as it is)
    return subprocess.Popen(
        [sys.executable, "-m", "bastide.gateway", role], env=environment, pass_fds=[end.fileno()], close_fds=True
    )


def inherited() -> socket.socket:
    """Our end of the pair that the starter made."""
    number = os.environ.pop(LINK_FD, "")  # noqa: TID251 (a descriptor, not a setting)
    if not number.isdigit():
        raise Refused("This process is started by `python -m bastide.gateway` only.", code="gateway:start")
    return socket.socket(fileno=int(number))


def certificate_name(path: Path) -> str:
    leaf = x509.load_pem_x509_certificates(path.read_bytes())[0]
    return str(leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def report(error: BastideError) -> int:
    print(f"bastide gateway: {error.sentence}", file=sys.stderr)
    return 2
