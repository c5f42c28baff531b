"""Which devices are connected, under which generation of their plan, and how to end a session.

The server tells of each connection that begins and ends in the devices' account; the user's name holds device and
generation, whoever let it in. Connections that were just let in and have not begun yet are known from the callout. What
ended stays known for a while, since the log's lines about a connection may come after its end.
"""

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NATSError
from nats.errors import TimeoutError as NATSTimeoutError

from bastide.adapters.nats.config import DEVICES
from bastide.core.error import Unavailable
from bastide.core.ids import DeviceId
from bastide.network.broker.connect import read_user_name

# A connection that broke its rules and ended: its last log lines are read within a second or two.
MAX_ENDED = 65_536
REQUEST_SECONDS = 2.0
SILENCE_SECONDS = 0.1
PAGE = 1024

Key = tuple[str, int]  # server id, the server's number of the connection


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of a device."""

    server: str
    client: int
    device: DeviceId
    generation: int


class Sessions:
    """The registry, kept by the server's own events."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._live: dict[Key, Session] = {}
        self._of: dict[DeviceId, dict[Key, Session]] = {}
        self._ended: OrderedDict[Key, Session] = OrderedDict()
        self._waiting: dict[Key, asyncio.Event] = {}

    async def start(self) -> None:
        """Listens first and lists then, so that no connection falls in between."""
        await self._client.subscribe(f"$SYS.ACCOUNT.{DEVICES}.CONNECT", cb=self._began)
        await self._client.subscribe(f"$SYS.ACCOUNT.{DEVICES}.DISCONNECT", cb=self._over)
        await self._client.flush()
        await self.recount()

    async def recount(self) -> None:
        """Takes the server's list for the truth; after a reconnect the events in between are missing."""
        listed: dict[Key, Session] = {}
        async for server, one in self._connections({"acc": DEVICES}):
            if (named := read_user_name(one.get("authorized_user", ""))) is not None:
                listed[(server, one["cid"])] = Session(server, one["cid"], *named)
        for key in [key for key in self._live if key not in listed]:
            self._end(key)
        for session in listed.values():
            self._add(session)

    async def end_unanswered(self) -> int:
        """Ends connections that nobody was there to answer for; their devices try again. Gives how many.

        The server asks once, and waits until its time-out. So after nobody listened, those who wait do so in vain.
        """
        waiting = [
            (server, one["cid"])
            async for server, one in self._connections({})
            if one.get("type") == "mqtt" and not one.get("authorized_user")
        ]
        for server, client in waiting:
            with contextlib.suppress(Unavailable):
                await self._ask(f"$SYS.REQ.SERVER.{server}.KICK", {"cid": client})
        return len(waiting)

    async def _connections(self, narrowed: dict[str, Any]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Every open connection of every server of the cluster, page by page."""
        for server in await self._servers():
            offset = 0
            while True:
                body = {"auth": True, "limit": PAGE, "offset": offset, "sort": "cid", **narrowed}
                answer = await self._ask(f"$SYS.REQ.SERVER.{server}.CONNZ", body)
                page = answer["data"].get("connections") or []
                for one in page:
                    yield server, one
                offset += PAGE
                if len(page) < PAGE:
                    break

    async def _servers(self) -> Sequence[str]:
        """The ids of all servers that answer; each answers by itself, so the last one is followed by silence."""
        inbox = self._client.new_inbox()
        answers = await self._client.subscribe(inbox)
        found: list[str] = []
        try:
            await self._client.publish("$SYS.REQ.SERVER.PING", b"", reply=inbox)
            wait = REQUEST_SECONDS
            while True:
                message = await answers.next_msg(timeout=wait)
                found.append(json.loads(message.data)["server"]["id"])
                wait = SILENCE_SECONDS
        except NATSTimeoutError:
            if not found:
                raise Unavailable("No server of the broker answers.", code="nats:unavailable") from None
        except NATSError as error:
            raise Unavailable(f"The broker does not answer: {error}.", code="nats:unavailable") from error
        finally:
            with contextlib.suppress(NATSError):
                await answers.unsubscribe()
        return found

    async def reload(self) -> None:
        """Every server reads its configuration and certificate files again."""
        for server in await self._servers():
            answer = await self._ask(f"$SYS.REQ.SERVER.{server}.RELOAD", {})
            if error := answer.get("error"):
                raise Unavailable(
                    f"The broker keeps its old configuration: {error.get('description')}. See nats/server.log.",
                    code="nats:reload:refused",
                )

    def admitted(self, session: Session) -> None:
        """A connection was let in; the server will say that it began, or that it ended."""
        self._add(session)

    def of(self, device: DeviceId) -> tuple[Session, ...]:
        return tuple(self._of.get(device, {}).values())

    def whose(self, server: str, client: int) -> DeviceId | None:
        """The device of a connection, live or lately ended."""
        session = self._live.get((server, client)) or self._ended.get((server, client))
        return session.device if session else None

    def count(self) -> int:
        return len(self._live)

    async def end(self, sessions: Iterable[Session], within: float) -> tuple[Session, ...]:
        """Ends sessions and waits until the server says that they are over; gives those that are not in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        left = [session for session in sessions if (session.server, session.client) in self._live]
        while left and loop.time() < deadline:
            events = [self._waiting.setdefault((one.server, one.client), asyncio.Event()) for one in left]
            await asyncio.gather(*(self._kick(one) for one in left))
            # Asked again soon: a connection that the callout let in just now may not have been there to be kicked.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(0.05, max(0.0, deadline - loop.time()))):
                    for event in events:
                        await event.wait()
            left = [session for session in left if (session.server, session.client) in self._live]
        return tuple(left)

    async def _kick(self, session: Session) -> None:
        try:
            answer = await self._ask(f"$SYS.REQ.SERVER.{session.server}.KICK", {"cid": session.client})
        except Unavailable:
            # A server that is gone has no sessions.
            self._end((session.server, session.client))
            return
        if answer.get("error") and not await self._exists(session):
            self._end((session.server, session.client))

    async def _exists(self, session: Session) -> bool:
        body = {"cid": session.client, "auth": True}
        answer = await self._ask(f"$SYS.REQ.SERVER.{session.server}.CONNZ", body)
        return bool(answer.get("data", {}).get("connections"))

    async def _ask(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._client.request(subject, json.dumps(body).encode(), timeout=REQUEST_SECONDS)
        except NATSError as error:
            raise Unavailable(
                f"The broker does not answer about its connections: {error or type(error).__name__}.",
                code="nats:unavailable",
            ) from error
        parsed: dict[str, Any] = json.loads(answer.data)
        return parsed

    async def _began(self, message: Msg) -> None:
        event = json.loads(message.data)
        if (named := read_user_name(event["client"].get("user", ""))) is not None:
            self._add(Session(event["server"]["id"], event["client"]["id"], *named))

    async def _over(self, message: Msg) -> None:
        event = json.loads(message.data)
        self._end((event["server"]["id"], event["client"]["id"]))

    def _add(self, session: Session) -> None:
        key = (session.server, session.client)
        if key not in self._ended:
            self._live[key] = session
            self._of.setdefault(session.device, {})[key] = session

    def _end(self, key: Key) -> None:
        session = self._live.pop(key, None)
        if session is not None:
            held = self._of[session.device]
            held.pop(key, None)
            if not held:
                del self._of[session.device]
            self._ended[key] = session
            while len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
        if (event := self._waiting.pop(key, None)) is not None:
            event.set()
