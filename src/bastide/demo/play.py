"""The story: a fleet enrols, connects and lives; one device is taken over and is cut off; one answers on Telnet.

Nothing here decides anything: the devices do what devices do, and Bastide does the rest. What is told is what was measured
at the device's end of the wire and what the API says.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from bastide.core.error import BastideError, Refused, Unavailable
from bastide.core.ids import DeviceId
from bastide.demo.actor import Actor, VirtualTime
from bastide.demo.api import API
from bastide.demo.capture import Host, pcap, telnet_story
from bastide.demo.config import DemoConfig
from bastide.demo.narrator import Narrator
from bastide.demo.roster import Member, profile_document, roster
from bastide.testing.fleet import identity
from bastide.testing.fleet.est import Endpoint, enrol

ENROL_TOGETHER = 4
CONNECT_PATIENCE_S = 30.0
CUT_OFF_PATIENCE_S = 15.0
WATCH_EVERY_S = 1.0
MORNING = datetime(2026, 1, 5, 6, 30, tzinfo=UTC)
ROUTER = Host(bytes.fromhex("00005e0053f1"), IPv4Address("10.20.0.1"), "router")
TECHNICIAN = Host(bytes.fromhex("00005e0053f2"), IPv4Address("10.20.0.99"), "laptop")


class Play:
    """One run of the demo. :meth:`perform` returns when the story is over, if it ends at all."""

    def __init__(self, config: DemoConfig, api: API, narrator: Narrator) -> None:
        self._config = config
        self._api = api
        self._narrator = narrator
        self._members = roster(config.demo_devices)
        self._actors: dict[DeviceId, Actor] = {}
        self._loop = asyncio.get_running_loop()
        self._cut_off: set[DeviceId] = set()

    async def perform(self) -> None:
        tell = self._narrator.tell
        await self._describe_kinds()
        await self._enrol()
        began = time.monotonic()
        virtual = VirtualTime(MORNING, began, self._config.demo_speed)
        for actor in self._actors.values():
            actor.session.start()
        reporting = [asyncio.create_task(actor.report(virtual)) for actor in self._actors.values()]
        watching = asyncio.create_task(self._watch())
        try:
            await self._all_connected()
            day_s = 86400 / self._config.demo_speed
            tell("reporting", f"They report as they would all day; a day takes {day_s:.0f} s here.", "/")
            await self._at(began + self._config.demo_misuse_after, self._misuse)
            await self._at(began + self._config.demo_telnet_after, self._telnet)
            if self._config.demo_once:
                return
            tell(
                "rest",
                "The fleet goes on. Release the device in the console to see it come back; Ctrl-C ends the demo.",
            )
            if self._config.demo_for:
                await asyncio.sleep(max(0.0, began + self._config.demo_for - time.monotonic()))
            else:
                await asyncio.Event().wait()
        finally:
            for task in (*reporting, watching):
                task.cancel()
            await asyncio.gather(*reporting, watching, return_exceptions=True)
            await asyncio.gather(*(asyncio.to_thread(actor.session.stop) for actor in self._actors.values()))

    async def _describe_kinds(self) -> None:
        kinds = {member.kind: member for member in self._members}
        for kind, member in kinds.items():
            await self._api.put_profile(profile_document(kind), member.owner, member.site)
        self._narrator.tell(
            "profiles", f"{len(kinds)} kinds of device are described: {', '.join(kinds)}.", "/settings/classes"
        )

    async def _enrol(self) -> None:
        """Each device that has no certificate of this installation makes a key and enrols; the others keep what they have."""
        known = await self._api.devices()
        places = asyncio.Semaphore(ENROL_TOGETHER)
        started, fresh = time.monotonic(), 0

        async def ready(member: Member) -> Actor:
            nonlocal fresh
            async with places:
                own = self._kept(member)
                if own is None or own.device not in known:
                    claim = await self._api.claim(member.kind, member.name, member.owner, member.site)
                    own = await asyncio.to_thread(enrol, self._endpoint(), claim, self._folder(member), member.name)
                    fresh += 1
                return Actor(member, own, self._reachable(), self._config.mqtt_port)

        for actor in await asyncio.gather(*(ready(member) for member in self._members)):
            self._actors[actor.device] = actor
        took = time.monotonic() - started
        again = f"; {len(self._actors) - fresh} had enrolled before" if fresh < len(self._actors) else ""
        self._narrator.tell(
            "enrolled",
            f"{fresh} devices made a key each and enrolled over EST in {took:.1f} s{again}.",
            "/devices",
            enrolled=fresh,
            seconds=round(took, 3),
        )

    def _kept(self, member: Member) -> identity.Identity | None:
        """The identity from an earlier run, unless it ended or belongs to another installation."""
        try:
            own = identity.load(self._folder(member))
        except (FileNotFoundError, ValueError, BastideError):
            return None
        ours = self._endpoint().trust.read_bytes() == own.trust.read_bytes()
        return own if ours and own.not_after > datetime.now(UTC) else None

    async def _all_connected(self) -> None:
        standing = {id_: each["standing"] for id_, each in (await self._api.devices()).items()}
        allowed = [actor for actor in self._actors.values() if standing.get(actor.device) in ("trusted", "restricted")]
        waits = [asyncio.to_thread(actor.session.connected.wait, CONNECT_PATIENCE_S) for actor in allowed]
        await asyncio.gather(*waits)
        there = sum(actor.session.connected.is_set() for actor in allowed)
        kept_out = len(self._actors) - len(allowed)
        outside = f"; {kept_out} are still kept out from an earlier run" if kept_out else ""
        self._narrator.tell(
            "connected",
            f"{there} devices are connected by MQTT over mutual TLS{outside}.",
            connected=there,
            kept_out=kept_out,
        )

    async def _misuse(self) -> None:
        """A thermostat that is connected is taken over."""
        villain = self._one_of("thermostat") or self._one_of("energy-meter")
        if villain is None:
            self._narrator.tell(
                "misuse-skipped", "No thermostat is connected to be taken over; release one in the console."
            )
            return
        name, look = villain.member.name, f"/devices/{villain.device}"
        others = [other for other in self._actors if other != villain.device]
        self._narrator.tell(
            "misuse",
            f"{name} was taken over: it listens to other devices and speaks in their name.",
            look,
            device=villain.device,
        )
        seconds = await villain.misuse(others, CUT_OFF_PATIENCE_S)
        if seconds is None:
            self._narrator.tell("not-cut-off", f"{name} is still connected after {CUT_OFF_PATIENCE_S:.0f} s.", look)
            return
        self._cut_off.add(villain.device)
        explained = await self._api.explanation(villain.device)
        decision = explained["decision"] or {}
        self._narrator.tell(
            "cut-off",
            f"{name} was cut off {seconds * 1000:.0f} ms after its first forbidden act: {decision.get('because', '')}",
            look,
            device=villain.device,
            seconds=round(seconds, 4),
            standing=str(explained["device"]["standing"]),
        )

    async def _telnet(self) -> None:
        """A camera answers on Telnet. It was seen on the wire, where packets can be forged: a finding, and no more."""
        camera = self._one_of("door-camera")
        if camera is None:
            return
        on_the_wire = Host(camera.member.mac, IPv4Address("10.20.0.31"), camera.member.name)
        path = self._config.home / "captures" / f"{camera.member.name}.pcap"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(pcap(telnet_story(on_the_wire, ROUTER, TECHNICIAN, datetime.now(UTC))))
        status, said = await self._bastide("scan", str(path), "--submit", "--site", camera.member.site, "--json")
        if status not in (0, 1):
            self._narrator.tell("scan-failed", f"The capture could not be submitted: {said.strip()[-300:]}")
            return
        seen = next(
            (id_ for id_, each in (await self._api.devices()).items() if _is_seen(each, camera.member)), camera.device
        )
        self._narrator.tell(
            "telnet",
            f"Somebody logged in to {camera.member.name} over Telnet with the maker's password; a port mirror saw it. "
            "Packets can be forged: it is a finding, and takes nothing away.",
            f"/devices/{seen}",
            device=seen,
            capture=str(path),
        )

    async def _watch(self) -> None:
        """Tells when an operator lets a device back in."""
        while True:
            for device in list(self._cut_off):
                with suppress(Refused, Unavailable):
                    standing = (await self._api.device(device))["standing"]
                    actor = self._actors[device]
                    if standing in ("trusted", "restricted") and actor.session.connected.is_set():
                        self._cut_off.discard(device)
                        self._narrator.tell(
                            "back",
                            f"{actor.member.name} was released and is back.",
                            f"/devices/{device}",
                            device=device,
                        )
            await asyncio.sleep(WATCH_EVERY_S)

    async def _at(self, moment: float, act: Callable[[], Awaitable[None]]) -> None:
        """Does one act of the story at its time; a controller that is away for a moment does not end the demo."""
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
        try:
            await act()
        except (Refused, Unavailable) as error:
            self._narrator.tell("trouble", error.sentence)

    def _one_of(self, kind: str) -> Actor | None:
        return next(
            (each for each in self._actors.values() if each.member.kind == kind and each.session.connected.is_set()),
            None,
        )

    async def _bastide(self, *arguments: str) -> tuple[int, str]:
        """Runs a command as a person would."""
        command = Path(sys.executable).with_name("bastide")
        process = await asyncio.create_subprocess_exec(
            str(command), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode(errors="replace")

    def _folder(self, member: Member) -> Path:
        return self._config.home / member.name

    def _endpoint(self) -> Endpoint:
        trust = self._config.data.expanduser() / "trust" / "root.pem"
        return Endpoint(self._reachable(), self._config.device_port, trust)

    def _reachable(self) -> str:
        return "127.0.0.1" if self._config.host in ("0.0.0.0", "::") else self._config.host  # noqa: S104


def _is_seen(device: dict[str, Any], member: Member) -> bool:
    """True for what the inventory holds of the member's address, which nobody has proved yet to be the member."""
    mac = member.mac.hex(":")
    return any(each["name"] == "mac" and each["value"] == mac for each in device["attributes"])
