"""The keeper's loop: requests of the link, packets that rules logged, and a look at the rules every second."""

import logging
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Protocol

from bastide.core.error import BastideError
from bastide.flows.on_gateway.keep_rules import Keeper
from bastide.network.profile.mud.words import Side
from bastide.network.segmentation.explain import Usage, denied_by, entry_counters, explain, flow_of
from bastide.wire.keeper import Answer, Request, Word, frame, length, read_request

LOG = logging.getLogger("bastide.gateway.keeper")
MAX_DENIALS = 1000
USAGE_SECONDS = 60.0


class Logged(Protocol):
    """See adapters.nftables.netlink."""

    @property
    def prefix(self) -> str: ...
    @property
    def payload(self) -> bytes: ...


class Log(Protocol):
    def fileno(self) -> int: ...
    def take(self) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class _Denial:
    device: str
    side: str
    peer: str
    protocol: int
    port: int
    mode: str
    by: str
    missing: str
    nearest: str


class KeeperLoop:
    """Until the link is gone; then the process ends, and the rules stay."""

    def __init__(
        self,
        keeper: Keeper,
        link: socket.socket,
        log: Log,
        counters: Callable[[], list[dict[str, Any]]],
        *,
        check_seconds: float,
        unused: timedelta,
    ) -> None:
        self._keeper, self._link, self._log, self._counters = keeper, link, log, counters
        self._check_seconds, self._unused = check_seconds, unused
        self._denied: dict[_Denial, int] = {}
        self._lost = 0
        self._unsettled = False
        self._usage = Usage()
        self._proposed: set[tuple[str, str]] = set()

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._link, selectors.EVENT_READ)
            selector.register(self._log, selectors.EVENT_READ)
            next_check = next_usage = time.monotonic()
            while True:
                ready = {
                    key.fileobj
                    for key, _ in selector.select(0 if self._unsettled else max(0.0, next_check - time.monotonic()))
                }
                if self._log in ready:
                    for logged in self._log.take():
                        self._heard(logged)
                if self._link in ready:
                    if not self._serve():
                        return
                else:
                    self._settle()
                if time.monotonic() >= next_check:
                    next_check = time.monotonic() + self._check_seconds
                    self._check()
                    self._tell_denied()
                if time.monotonic() >= next_usage:
                    next_usage = time.monotonic() + USAGE_SECONDS
                    self._look_at_usage()

    def _settle(self) -> None:
        if self._unsettled:
            self._unsettled = False
            try:
                self._keeper.settle()
            except BastideError as error:
                LOG.error("%s", error.sentence)

    def _serve(self) -> bool:
        head = self._exactly(4)
        payload = self._exactly(length(head)) if head else b""
        if not payload:
            return False
        request = read_request(payload)  # what is no request ends the keeper: the link is not what it was
        try:
            answer = Answer(request.number, value=self._do(request))
        except BastideError as error:
            answer = Answer(request.number, error.reason, error.sentence)
        self._send(answer)
        return True

    def _do(self, request: Request) -> Any:
        keeper = self._keeper
        match request.word:
            case Word.ITEM:
                self._unsettled = True
                return asdict(keeper.take(request.data))
            case Word.RESOLVED:
                answers = {ip_address(address): ttl for address, ttl in request.addresses}
                return keeper.resolved(request.name, answers)
            case Word.NAMES:
                names = keeper.names_of(ip_address(request.name))
                return None if names is None else sorted(names)
            case Word.STATE:
                return {"generation": keeper.generation, "unreadable": keeper.unreadable, "items": keeper.items()}

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._link.recv(size - len(data))
            if not part:
                return b""
            data += part
        return data

    def _send(self, answer: Answer) -> None:
        self._link.sendall(frame(answer))

    def _event(self, **event: Any) -> None:
        self._send(Answer(0, value=event))

    def _check(self) -> None:
        try:
            found = self._keeper.check()
        except BastideError as error:
            LOG.error("%s", error.sentence)
            return
        if found:
            for one in found.found:
                LOG.warning("drift: %s", one)
            self._event(kind="drift", found=list(found.found), repaired=self._keeper.repair)

    def _heard(self, logged: Logged) -> None:
        flow = flow_of(logged.payload)
        if flow is None:
            return
        side = Side.TO_DEVICE if " to-device " in logged.prefix else Side.FROM_DEVICE
        own = flow.source if side is Side.FROM_DEVICE else flow.destination
        peer = flow.destination if side is Side.FROM_DEVICE else flow.source
        member = self._keeper.whose(own)
        profile = self._keeper.profile_of(member) if member else None
        said = explain(flow, side, profile, self._keeper.names_for(peer))
        mode = "observe" if logged.prefix.startswith("watch") else "enforce"
        device = member.device if member else str(own)
        denial = _Denial(
            device,
            side.value,
            str(peer),
            flow.protocol,
            flow.port,
            mode,
            denied_by(logged.prefix),
            said.missing,
            said.nearest,
        )
        if denial not in self._denied and len(self._denied) >= MAX_DENIALS:
            self._lost += 1
            return
        self._denied[denial] = self._denied.get(denial, 0) + 1

    def _tell_denied(self) -> None:
        for denial, count in self._denied.items():
            self._event(kind="denied", count=count, **asdict(denial))
        if self._lost:
            self._event(kind="lost", count=self._lost)
        self._denied, self._lost = {}, 0

    def _look_at_usage(self) -> None:
        now = datetime.now(UTC)
        try:
            self._usage.observe(entry_counters(self._counters()), now)
        except BastideError as error:
            LOG.warning("%s", error.sentence)
            return
        unused = [one for one in self._usage.unused(now, self._unused) if _permits(one)]
        for chain, entry in unused:
            if (chain, entry) not in self._proposed:
                self._event(kind="unused", chain=chain, entry=entry, days=self._unused.days)
        self._proposed = set(unused)


def _permits(key: tuple[str, str]) -> bool:
    chain, entry = key
    return chain.startswith(("from_", "to_")) and "denied" not in entry and " default " not in f" {entry} "
