"""The keeper of a gateway's rules: takes signed items, makes the kernel hold them, and makes sure that it still does.

* An item is on the disk before the kernel is told, so a crash between them is made good at the next start.
* Whatever happens the kernel keeps the last rules that it was given: nothing here ever takes a table away.
* A device whose rules change is forgotten by connection tracking (``settle``), so that its open connections are judged
  again. One that is cut off cannot send from the moment that ``take`` returns.
* Rules that somebody else changed are found by the kernel's own count of changes, and repaired or only reported.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.error import BastideError, Refused
from bastide.core.ids import DeviceId
from bastide.core.plan import Circle
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import MUDFile
from bastide.network.segmentation.compile import TABLE
from bastide.network.segmentation.drift import Differences, Snapshot, differences, expected, snapshot
from bastide.network.segmentation.fleet import Allowance, Conduit, Frame, Member, Transport
from bastide.network.segmentation.holding import ARP_TABLE, Holding, closed, must_name_ports
from bastide.network.segmentation.site import Address, site_of
from bastide.wire.gateway import (
    AllowanceForm,
    FrameForm,
    Item,
    ItemRefused,
    MemberForm,
    decode_content,
    open_item,
)

MIN_NAME_LIFE = timedelta(seconds=60)


class Kernel(Protocol):
    """The packet filter and connection tracking of this network namespace."""

    def load(self, text: str) -> None: ...
    def listing(self, family: str, table: str, *, elements: bool = True) -> list[dict[str, Any]]: ...
    def rules_generation(self) -> int: ...
    def forget_connections(self, addresses: Collection[bytes]) -> int: ...


class Journal(Protocol):
    """The items, durable. ``append`` returns when they are on the disk; ``rewrite`` replaces all, atomically."""

    def read(self) -> list[bytes]: ...
    def append(self, item: bytes) -> None: ...
    def rewrite(self, items: Collection[bytes]) -> None: ...


@dataclass(frozen=True, slots=True)
class Applied:
    """What the gateway holds after an item: its own count of changes, and what of the thing."""

    generation: int
    holds: str


@dataclass(slots=True)
class Keeper:
    """One gateway's rules. ``start`` first; every other method may raise ``Unavailable`` where the kernel refuses."""

    gateway: DeviceId
    key: Ed25519PublicKey
    ports: tuple[str, ...]
    kernel: Kernel
    journal: Journal
    now: Callable[[], datetime]
    repair: bool = True
    floor: timedelta = MIN_NAME_LIFE
    there: Callable[[str], bool] = lambda port: False
    _held: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _muds: dict[str, MUDFile] = field(default_factory=dict)
    _forms: dict[str, MemberForm] = field(default_factory=dict)
    _frame: FrameForm = field(default_factory=FrameForm)
    _holding: Holding = field(init=False)
    _snapshot: Snapshot | None = None
    _seen: int = -1
    _torn: bool = False
    _changed: set[bytes] = field(default_factory=set)
    unreadable: int = 0

    def start(self) -> int:
        """Loads the last good plan in one step; the closed ruleset where there is none. Gives how many items it holds."""
        must_name_ports(self.ports)
        items: list[tuple[bytes, Item]] = []
        for data in self.journal.read():
            try:
                items.append((data, open_item(data, self.gateway, self.key)))
            except BastideError:
                self.unreadable += 1  # a torn or foreign record loses itself alone
        for data, item in items:
            if item.generation > self._held.get(item.key, (0, b""))[0]:
                self._held[item.key] = (item.generation, data)
        self.journal.rewrite([data for _, data in self._held.values()])
        self.unreadable += self._rebuild(0)
        self._load_whole()
        # A crash may have come between the rules of a device that was cut off and the end of its connections.
        cut = [one for one in self._holding.members.values() if one.circle in (Circle.QUARANTINE, Circle.NOTHING)]
        if cut:
            self.kernel.forget_connections([address.packed for one in cut for address in one.addresses])
        return len(self._held)

    def _rebuild(self, generation: int) -> int:
        """Everything in memory from the items that are held; gives how many of them cannot be used together."""
        self._muds, self._forms, self._frame = {}, {}, FrameForm()
        items = [open_item(data, self.gateway, self.key) for _, data in self._held.values()]
        unusable = 0
        for item in items:
            try:
                self._note(item)
            except BastideError:
                unusable += 1
        self._holding = Holding(self._built())
        for name in self._forms:
            try:
                self._holding.put(self._member(name), self.now())
            except BastideError:
                unusable += 1  # unknown at this gateway: it may nothing
        for item in items:
            if item.kind == "allow" and item.content:
                self._holding.allow(item.key, _allowance(item.content), self.now())
        self._holding.generation = max(self._holding.generation, generation)
        return unusable

    def _load_whole(self) -> None:
        self._load(self._holding.whole(self.now()) if self._held else closed(self.ports), whole=True)

    def take(self, data: bytes) -> Applied:
        """Makes an item hold. ``Refused``: bad signature, another gateway's, or older than the one held
        (``plan:generation:stale``); then nothing changed."""
        item = open_item(data, self.gateway, self.key)
        held, before = self._held.get(item.key, (0, b""))
        if item.generation < held or (item.generation == held and data != before):
            raise ItemRefused(
                f"The gateway holds generation {held} of {item.key} and was handed {item.generation}; "
                "read the current plan and apply that.",
                code="plan:generation:stale",
            )
        if item.generation == held and not self._torn:
            return Applied(self._holding.generation, self._describe(item))
        whole = self._torn or not self._held
        text, forget = self._prepare(item)
        try:
            self.journal.append(data)
            self._held[item.key] = (item.generation, data)
            if whole:
                self._load_whole()
            else:
                self._load(text, whole=text.startswith("add table inet"))
        except BastideError:
            # Memory and kernel may differ now: memory goes back to what is held, the kernel is next given all of it.
            self._torn = True
            self._rebuild(self._holding.generation + 1)
            raise
        self._torn = False
        self._changed |= {address.packed for address in forget}
        return Applied(self._holding.generation, self._describe(item))

    def settle(self) -> int:
        """Ends the connections of what changed since the last time, so that they are judged again; gives how many.

        Many changes settle at once: connection tracking can only be searched as a whole (some 20 ms)."""
        changed, self._changed = self._changed, set()
        return self.kernel.forget_connections(changed) if changed else 0

    def resolved(self, name: str, answers: Mapping[Address, int]) -> bool:
        """Opens what a name stands for, before its answer is given. ``Refused`` where an answer lies in our own network
        (rebinding). False where no profile speaks of the name."""
        for address in answers:
            if _inside(address, self._holding.frame):
                raise Refused(
                    f"{name} resolves to {address}, an address of the local network.", code="dns:answer:rebinding"
                )
        lives = {address: max(timedelta(seconds=ttl), self.floor) for address, ttl in answers.items()}
        text = self._holding.resolved(name, lives, self.now())
        if text:
            self._load(text, whole=False)
        return name in self._holding.names

    def names_of(self, address: Address) -> frozenset[str] | None:
        """The names that the device with this address may ask for; None where nobody has it."""
        member = self._holding.by_address(address)
        if member is None:
            return None
        profile = self._holding.frame.profiles.get(member.profile)
        if profile is None:
            return frozenset()
        lists = (*profile.from_device, *profile.to_device)
        return frozenset(
            name
            for one in lists
            for entry in one.entries
            for name in (entry.source_name, entry.destination_name)
            if name
        )

    def whose(self, address: Address) -> Member | None:
        return self._holding.by_address(address)

    def profile_of(self, member: Member) -> MUDFile | None:
        return self._holding.frame.profiles.get(member.profile)

    def names_for(self, address: Address) -> frozenset[str]:
        """The names that were resolved to an address and still hold."""
        return self._holding.names_for(address)

    def items(self) -> dict[str, int]:
        """The generation held of each thing."""
        return {key: generation for key, (generation, _) in self._held.items()}

    @property
    def generation(self) -> int:
        return self._holding.generation

    def check(self) -> Differences | None:
        """What somebody else changed since the last look; None where nothing. Repaired in one step if so set."""
        self._holding.expire(self.now())
        if self._held and self._there() is not self._holding.frame.there:
            self._holding.frame = replace(self._holding.frame, there=self._there())
            self._load_whole()
        generation = self.kernel.rules_generation()
        if generation == self._seen:
            return None
        found = differences(self._snapshot, self._look(), self._expected())
        if not found:
            self._seen = generation  # another table's change
            return None
        if self.repair:
            self._load_whole()
        else:
            self._seen = generation
        return found

    def _expected(self) -> dict[str, frozenset[str]] | None:
        if not self._held:
            return None
        return expected(self._holding.ruleset(), self._holding.generation)

    def _look(self) -> list[dict[str, Any]]:
        return [*self.kernel.listing("inet", TABLE), *self.kernel.listing("arp", ARP_TABLE)]

    def _load(self, text: str, *, whole: bool) -> None:
        """Loads, and knows afterwards which chains are ours: none can have come from elsewhere in between unseen."""
        before = self.kernel.rules_generation()
        self.kernel.load(text)
        if whole:
            self._snapshot = snapshot(self._look())
        after = self.kernel.rules_generation()
        ours = after - before == 1 and (whole or before == self._seen)
        # Otherwise somebody else changed rules meanwhile: the next check looks.
        self._seen = after if ours else -1

    def _prepare(self, item: Item) -> tuple[str, tuple[Address, ...]]:
        """The text that makes an item hold, with the addresses whose connections end. Refuses before anything changed."""
        now = self.now()
        if item.kind == "device":
            form = decode_content(item.content, MemberForm) if item.content else None
            before = self._holding.members.get(item.name)
            if form is None:
                text = self._holding.remove(item.name)
                self._forms.pop(item.name, None)
                return text or "\n", before.addresses if before else ()
            after = self._member(item.name, form)
            text = self._holding.put(after, now)
            self._forms[item.name] = form
            same = before is not None and before == after
            return text, () if same else tuple({*after.addresses, *(before.addresses if before else ())})
        if item.kind == "allow":
            allowance = _allowance(item.content) if item.content else None
            return self._holding.allow(item.key, allowance, now), ()
        self._note(item)
        self._holding.frame = self._built()
        everyone = {name: self._member(name) for name in self._forms}
        self._holding.members = {name: one for name, one in everyone.items() if name in self._holding.members}
        text = self._holding.put_frame(self._holding.frame, now)
        if item.kind != "mud":
            return text, ()
        mine = [one for name, one in everyone.items() if self._forms[name].profile == item.name]
        return text, tuple(address for one in mine for address in one.addresses)

    def _note(self, item: Item) -> None:
        """Keeps what an item says of things that are compiled together."""
        if item.kind == "frame":
            self._frame = decode_content(item.content, FrameForm) if item.content else FrameForm()
        elif item.kind == "mud":
            if item.content:
                self._muds[item.name] = read(item.content).file
            else:
                self._muds.pop(item.name, None)
        elif item.kind == "device" and item.content:
            self._forms[item.name] = decode_content(item.content, MemberForm)

    def _member(self, name: str, form: MemberForm | None = None) -> Member:
        form = form or self._forms[name]
        profile = self._muds.get(form.profile)
        return Member(
            name,
            tuple(ip_address(one) for one in form.addresses),
            form.mac,
            form.circle,
            form.mode,
            profile.url if profile else "",
            form.port,
            form.cell,
        )

    def _built(self) -> Frame:
        form = self._frame
        conduits = tuple(
            Conduit(one.source, one.destination, Transport(one.transport), one.port) for one in form.conduits
        )
        return Frame(
            self.ports,
            {one.url: one for one in self._muds.values()},
            site_of(form),
            tuple(ip_network(one) for one in form.remediation),
            tuple(ip_network(one) for one in form.onboarding),
            conduits,
            self._there(),
        )

    def _there(self) -> bool:
        return len(self.ports) == 1 and self.there(self.ports[0])

    def _describe(self, item: Item) -> str:
        member = self._holding.members.get(item.name) if item.kind == "device" else None
        if member is None:
            return f"{item.kind} {item.name}".strip() + f", generation {item.generation}"
        elements = len(self._holding.elements(member))
        return f"{member.circle.value}, {member.mode.value}; {elements} entries for {', '.join(map(str, member.addresses))}"


def _allowance(content: bytes) -> Allowance:
    form = decode_content(content, AllowanceForm)
    source, destination = ip_address(form.source), ip_address(form.destination)
    return Allowance(source, destination, Transport(form.transport), form.port, form.until)


def _inside(address: Address, frame: Frame) -> bool:
    unusable = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    mapped = address.ipv4_mapped if address.version == 6 else None
    if mapped is not None:
        return True
    return unusable or any(
        address in network for network in frame.site.local_networks if network.version == address.version
    )
