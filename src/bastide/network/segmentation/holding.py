"""What one gateway holds, and the nftables text that takes its kernel from one state to the next. Pure; time is handed in.

* :meth:`Holding.whole` replaces both tables in one transaction.
* A changed device is a few elements: what it no longer has goes, what it has now comes, in one transaction with the
  generation. Only a device that needs a chain that is not there yet (the first of its kind
  that is observed, the first of its cell) is a ``whole``.
* Names are what a resolver answered; they outlive a replacement, and end by the kernel's clock as well as by ours.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bastide.core.error import Refused
from bastide.network.segmentation.compile import TABLE, wanted
from bastide.network.segmentation.fleet import (
    Allowance,
    Elements,
    Frame,
    Member,
    Needs,
    allowance_element,
    classes_of,
    compile_fleet,
    elements_of,
    needs_of,
    no_claim_twice,
)
from bastide.network.segmentation.rules import name_set
from bastide.network.segmentation.ruleset import Ruleset, as_text
from bastide.network.segmentation.site import Address

ARP_TABLE = "bastide"
MAX_NAME_ADDRESSES = 4096
_LONGEST = timedelta(days=7)


class Holding:
    """The devices, exceptions and resolved names of one gateway, by their newest plans."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.members: dict[str, Member] = {}
        self.allowances: dict[str, Allowance] = {}
        self.generation = 0
        self._names: dict[str, dict[Address, datetime]] = {}
        self._claims: dict[object, str] = {}
        self._needs = Needs()
        self._renew()

    @property
    def names(self) -> frozenset[str]:
        """The DNS names that some profile speaks of."""
        return self._wanted_names

    def whole(self, now: datetime) -> str:
        """Everything, in one transaction."""
        text = as_text(self.ruleset())
        lines = [text.rstrip("\n")]
        lines += self._generation_lines()
        for allowance in self.allowances.values():
            lines += _allow(allowance, now)
        for name, held in self._names.items():
            for address, until in held.items():
                lines += self._name_lines(name, address, until, now)
        return "\n".join([*lines, *self._arp_lines(), ""])

    def ruleset(self) -> Ruleset:
        """As compiled from nothing; a row of changes leads to the same."""
        return compile_fleet(self.frame, self.members.values(), self._needs)

    def put_frame(self, frame: Frame, now: datetime) -> str:
        self.frame = frame
        self._renew()
        self.generation += 1
        return self.whole(now)

    def put(self, member: Member, now: datetime) -> str:
        """The text that makes a new or changed device hold. ``Refused`` where another holds an address of it."""
        before = self.members.get(member.device)
        for claim in _claims(member):
            if self._claims.get(claim, member.device) != member.device:
                no_claim_twice([self.members[self._claims[claim]], member])
        self._forget(before)
        self.members[member.device] = member
        for claim in _claims(member):
            self._claims[claim] = member.device
        self.generation += 1
        needs = self._needs | needs_of([member], self.frame)
        if needs != self._needs:  # what was needed once stays until everything is compiled again
            self._needs = needs
            return self.whole(now)
        return self._change(before, member)

    def remove(self, device: str) -> str:
        """The text after which the device is unknown; empty where it was."""
        before = self.members.pop(device, None)
        if before is None:
            return ""
        self._forget(before)
        self.generation += 1
        return self._change(before, None)

    def allow(self, name: str, allowance: Allowance | None, now: datetime) -> str:
        """An exception comes, changes or goes."""
        before = self.allowances.pop(name, None)
        lines: list[str] = []
        if before is not None:
            element = allowance_element(before, now)
            # Added first: an element that the kernel's clock took already cannot be deleted.
            lines += [f"add element inet {TABLE} {element[0]} {{ {element[1]} }}"]
            lines += [f"delete element inet {TABLE} {element[0]} {{ {element[1]} }}"]
        if allowance is not None:
            self.allowances[name] = allowance
            lines += _allow(allowance, now)
        self.generation += 1
        return "\n".join([*lines, *self._generation_lines(), ""])

    def resolved(self, name: str, addresses: Mapping[Address, timedelta], now: datetime) -> str:
        """Adds what a name stands for; empty where no profile speaks of it. A known address lives at least as long as it did."""
        if name not in self._wanted_names:
            return ""
        held = self._names.setdefault(name, {})
        lines: list[str] = []
        for address, life in addresses.items():
            until = max(held.get(address, now), now + min(life, _LONGEST))
            if len(held) >= MAX_NAME_ADDRESSES and address not in held:
                soonest = min(held, key=lambda one: held[one])
                del held[soonest]
            held[address] = until
            lines += self._name_lines(name, address, until, now, again=True)
        return "\n".join([*lines, ""]) if lines else ""

    def expire(self, now: datetime) -> None:
        """Forgets names whose time is over; the kernel forgot them by itself."""
        for name, held in list(self._names.items()):
            for address in [one for one, until in held.items() if until <= now]:
                del held[address]
            if not held:
                del self._names[name]
        for key in [key for key, one in self.allowances.items() if one.until <= now]:
            del self.allowances[key]

    def elements(self, member: Member) -> Elements:
        return elements_of(member, self.frame, self._classes)

    def by_address(self, address: Address) -> Member | None:
        device = self._claims.get(address)
        return None if device is None else self.members[device]

    def names_for(self, address: Address) -> frozenset[str]:
        return frozenset(name for name, held in self._names.items() if address in held)

    def _change(self, before: Member | None, after: Member | None) -> str:
        old = self.elements(before) if before is not None else frozenset()
        new = self.elements(after) if after is not None else frozenset()
        lines = [_element("delete", *one) for one in sorted(old - new)]
        lines += [_element("add", *one) for one in sorted(new - old)]
        return "\n".join([*lines, *self._generation_lines(), ""])

    def _forget(self, member: Member | None) -> None:
        if member is None:
            return
        for claim in _claims(member):
            self._claims.pop(claim, None)

    def _renew(self) -> None:
        self._classes = classes_of(self.frame)
        self._wanted_names = frozenset(wanted(self.frame.profiles.values())[0])
        self._needs = needs_of(self.members.values(), self.frame)

    def _generation_lines(self) -> list[str]:
        return [
            f"flush set inet {TABLE} generation",
            f"add element inet {TABLE} generation {{ {self.generation % 2**32} }}",
        ]

    def _name_lines(
        self, name: str, address: Address, until: datetime, now: datetime, *, again: bool = False
    ) -> list[str]:
        left = int((until - now).total_seconds())
        if left <= 0 or name not in self._wanted_names or address in self.frame.site.names.get(name, ()):
            return []
        place = f"inet {TABLE} {name_set(name, address.version)}"
        lines = []
        if again:  # the kernel keeps the old time of an element that is there
            lines += [f"add element {place} {{ {address} }}", f"delete element {place} {{ {address} }}"]
        return [*lines, f"add element {place} {{ {address} timeout {left}s }}"]

    def _arp_lines(self) -> list[str]:
        """ARP says which hardware has an address: only that of the device may."""
        bound = sorted(
            element for one in self.members.values() for name, element, _ in self.elements(one) if name == "arp"
        )
        filled = f"\n\t\telements = {{ {', '.join(bound)} }}" if bound else ""
        held = sorted({element.split(" . ")[0] for element in bound})
        holding = f"\n\t\telements = {{ {', '.join(held)} }}" if held else ""
        return f"""add table arp {ARP_TABLE}
delete table arp {ARP_TABLE}
table arp {ARP_TABLE} {{
	set pairs {{
		type ipv4_addr . ether_addr{filled}
	}}
	set held {{
		type ipv4_addr{holding}
	}}
	chain learn {{
		type filter hook input priority 0; policy accept;
		arp saddr ip . arp saddr ether != @pairs arp saddr ip @held counter drop
		arp saddr ip . ether saddr != @pairs arp saddr ip @held counter drop
	}}
}}""".split("\n")


def _claims(member: Member) -> Iterable[object]:
    return (*member.addresses, *((member.mac,) if member.mac else ()))


def _element(verb: str, name: str, element: str, chain: str) -> str:
    if name == "arp":
        address = element.split(" . ")[0]
        return (
            f"{verb} element arp {ARP_TABLE} pairs {{ {element} }}\n{verb} element arp {ARP_TABLE} held {{ {address} }}"
        )
    goes = f" : jump {chain}" if chain and verb == "add" else ""
    return f"{verb} element inet {TABLE} {name} {{ {element}{goes} }}"


def _allow(allowance: Allowance, now: datetime) -> list[str]:
    name, element, left = allowance_element(allowance, now)
    return [f"add element inet {TABLE} {name} {{ {element} timeout {left}s }}"] if left > 0 else []


def closed(ports: Iterable[str]) -> str:
    """What is loaded where no plan can be read: devices may renew their lease, and nothing else enters from their ports."""
    names = ", ".join(f'"{port}"' for port in sorted(ports))
    return f"""add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
	set generation {{
		type mark
		elements = {{ 0 }}
	}}
	chain judge {{
		type filter hook prerouting priority 0; policy accept;
		iifname {{ {names} }} udp sport 68 udp dport 67 accept
		iifname {{ {names} }} icmpv6 type 133-136 accept
		iifname {{ {names} }} counter drop comment "no plan"
	}}
}}
"""


def must_name_ports(ports: tuple[str, ...]) -> None:
    if not ports or any(
        not port or len(port) > 15 or not port.isascii() or set(port) & set(' "\\{};,/') for port in ports
    ):
        raise Refused(
            "Name the interfaces that face devices (BASTIDE_GATEWAY_PORTS), each 1 to 15 characters.",
            code="gateway:ports:missing",
        )
