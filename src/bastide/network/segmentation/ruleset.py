"""An nftables ruleset as a value, written as text (``nft -f``) or as libnftables JSON (``nft -j -f``).

Both forms come from the same value. Names and comments are made here from checked characters only, so that nothing
that a file says can end a string or a statement.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any

Value = int | str | tuple[int, int] | IPv4Network | IPv6Network
"""A number, an address, word or ``@set``, a range with both ends, or a network."""


@dataclass(frozen=True, slots=True)
class Match:
    """``field`` in nft's words: ``ip saddr``, ``tcp dport``, ``meta l4proto``, ``ct state``; several joined by `` . ``."""

    field: str
    value: Value
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Lookup:
    """A verdict map looked up by a field."""

    field: str
    map: str


@dataclass(frozen=True, slots=True)
class Log:
    """Logged to a group (nflog), at most ``per_second`` of them."""

    prefix: str
    group: int
    per_second: int
    burst: int


@dataclass(frozen=True, slots=True)
class Counter:
    pass


@dataclass(frozen=True, slots=True)
class Verdict:
    """``accept``, ``drop``, ``return``, ``reject``, or ``jump`` and ``goto`` with the chain."""

    word: str
    chain: str = ""


Statement = Match | Lookup | Log | Counter | Verdict


@dataclass(frozen=True, slots=True)
class Rule:
    statements: tuple[Statement, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """``hook`` empty: a chain that others jump to."""

    name: str
    rules: tuple[Rule, ...]
    hook: str = ""
    priority: int = 0
    policy: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ElementSet:
    """A set; with ``verdicts`` a map from each element (by place) to where it jumps."""

    name: str
    type: tuple[str, ...]
    elements: tuple[tuple[str, ...], ...] = ()
    flags: tuple[str, ...] = ()
    verdicts: tuple[str, ...] | None = None
    comment: str = ""
    size: int = 0
    """How many elements it may have at most; the kernel finds them faster where it is told."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """One table of the inet family, replaced as a whole in one transaction."""

    table: str
    sets: tuple[ElementSet, ...]
    chains: tuple[Chain, ...] = field(default=())


def identifier(prefix: str, text: str) -> str:
    """A name for nft that is readable, and different for different texts."""
    readable = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:40]
    return f"{prefix}_{readable}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def comment(text: str) -> str:
    """Text that nft takes between quotes (at most 127 octets)."""
    return re.sub(r"[^A-Za-z0-9 ._:/@-]", "_", text)[:120]


def as_text(ruleset: Ruleset) -> str:
    """What ``nft -f`` loads: the old table goes and the new one comes in one step."""
    lines = [f"add table inet {ruleset.table}", f"delete table inet {ruleset.table}", f"table inet {ruleset.table} {{"]
    for one in ruleset.sets:
        lines += _set_lines(one)
    for chain in ruleset.chains:
        lines.append(f"\tchain {chain.name} {{" + (f" # {chain.comment}" if chain.comment else ""))
        if chain.hook:
            lines.append(f"\t\ttype filter hook {chain.hook} priority {chain.priority}; policy {chain.policy};")
        for rule in chain.rules:
            words = [_text(statement) for statement in rule.statements]
            if rule.comment:
                words.append(f'comment "{rule.comment}"')
            lines.append("\t\t" + " ".join(words))
        lines.append("\t}")
    return "\n".join([*lines, "}", ""])


def as_json(ruleset: Ruleset) -> dict[str, Any]:
    """The same as libnftables JSON. Chains come empty first, so that maps and rules may name any of them."""
    table = {"family": "inet", "name": ruleset.table}
    place = {"family": "inet", "table": ruleset.table}
    commands: list[dict[str, Any]] = [
        {"add": {"table": table}},
        {"delete": {"table": table}},
        {"add": {"table": table}},
    ]
    for chain in ruleset.chains:
        made: dict[str, Any] = place | {"name": chain.name}
        if chain.hook:
            made |= {"type": "filter", "hook": chain.hook, "prio": chain.priority, "policy": chain.policy}
        commands.append({"add": {"chain": made}})
    commands += [
        {"add": {"map" if one.verdicts is not None else "set": place | _set_json(one)}} for one in ruleset.sets
    ]
    for chain in ruleset.chains:
        for rule in chain.rules:
            added: dict[str, Any] = place | {"chain": chain.name, "expr": list(_expressions(rule.statements))}
            commands.append({"add": {"rule": added | ({"comment": rule.comment} if rule.comment else {})}})
    return {"nftables": [{"metainfo": {"json_schema_version": 1}}, *commands]}


def _set_lines(one: ElementSet) -> list[str]:
    kind = "set" if one.verdicts is None else "map"
    lines = [f"\t{kind} {one.name} {{"]
    lines.append(f"\t\ttype {' . '.join(one.type)}" + ("" if one.verdicts is None else " : verdict"))
    if one.flags:
        lines.append(f"\t\tflags {', '.join(one.flags)}")
    if one.size:
        lines.append(f"\t\tsize {one.size}")
    if one.comment:
        lines.append(f'\t\tcomment "{one.comment}"')
    if one.elements:
        keys = [" . ".join(element) for element in one.elements]
        if one.verdicts is not None:
            keys = [f"{key} : jump {chain}" for key, chain in zip(keys, one.verdicts, strict=True)]
        lines.append("\t\telements = { " + ",\n\t\t\t".join(keys) + " }")
    return [*lines, "\t}"]


def _set_json(one: ElementSet) -> dict[str, Any]:
    made: dict[str, Any] = {"name": one.name, "type": one.type[0] if len(one.type) == 1 else list(one.type)}
    if one.verdicts is not None:
        made["map"] = "verdict"
    if one.flags:
        made["flags"] = list(one.flags)
    if one.size:
        made["size"] = one.size
    if one.comment:
        made["comment"] = one.comment
    if one.elements:
        keys = [_key(element) for element in one.elements]
        made["elem"] = (
            keys
            if one.verdicts is None
            else [[key, {"jump": {"target": chain}}] for key, chain in zip(keys, one.verdicts, strict=True)]
        )
    return made


def _key(element: tuple[str, ...]) -> Any:
    if len(element) > 1:
        return {"concat": list(element)}
    address, slash, length = element[0].partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if slash else address


def _text(statement: Statement) -> str:
    match statement:
        case Match(name, value, negated):
            return f"{name} {'!= ' if negated else ''}{_text_value(value)}"
        case Lookup(name, verdicts):
            return f"{name} vmap @{verdicts}"
        case Log(prefix, group, per_second, burst):
            return f'limit rate {per_second}/second burst {burst} packets log prefix "{prefix}" group {group}'
        case Counter():
            return "counter"
        case Verdict(word, chain):
            return f"{word} {chain}".rstrip()


def _text_value(value: Value) -> str:
    return f"{value[0]}-{value[1]}" if isinstance(value, tuple) else str(value)


def _expressions(statements: Iterable[Statement]) -> Iterable[dict[str, Any]]:
    for statement in statements:
        match statement:
            case Match(name, value, negated):
                left = [_left(part) for part in name.split(" . ")]
                yield {
                    "match": {
                        "op": "!=" if negated else "in" if name == "ct state" else "==",
                        "left": left[0] if len(left) == 1 else {"concat": left},
                        "right": _right(value, name),
                    }
                }
            case Lookup(name, verdicts):
                yield {"vmap": {"key": _left(name), "data": f"@{verdicts}"}}
            case Log(prefix, group, per_second, burst):
                yield {"limit": {"rate": per_second, "burst": burst, "per": "second"}}
                yield {"log": {"prefix": prefix, "group": group}}
            case Counter():
                yield {"counter": {"packets": 0, "bytes": 0}}
            case Verdict(word, chain):
                yield {word: {"target": chain} if chain else None}


def _left(name: str) -> dict[str, Any]:
    protocol, _, key = name.partition(" ")
    if protocol == "fib":
        flags, result = key.split(" ")
        return {"fib": {"result": result, "flags": [flags]}}
    if protocol in ("meta", "ct"):
        return {protocol: {"key": key}}
    return {"payload": {"protocol": protocol, "field": key}}


def _right(value: Value, name: str) -> Any:
    if isinstance(value, tuple):
        return {"range": list(value)}
    if isinstance(value, IPv4Network | IPv6Network):
        if value.prefixlen == value.max_prefixlen:
            return str(value.network_address)
        return {"prefix": {"addr": str(value.network_address), "len": value.prefixlen}}
    if name == "ct state" and "," in str(value):
        return str(value).split(",")
    return value
