"""A MUD file (RFC 8520, section 2) from bytes: accepted with notes, or refused with one reason.

* one ``ietf-mud:mud`` container and one list of access lists; each list and entry has a name of its own
* each name in a policy is a list that exists; a policy that names nothing allows nothing
* what is bounded: bytes, depth, lists, entries, the length of each text
"""

from datetime import datetime, timedelta
from typing import Any

from bastide.network.profile.mud.application import EXTENSION, NAME, read_application
from bastide.network.profile.mud.entries import entry_name, read_entry
from bastide.network.profile.mud.members import Members, Notes
from bastide.network.profile.mud.names import mud_url, uri
from bastide.network.profile.mud.strictjson import read_json
from bastide.network.profile.mud.words import AccessList, Entry, ListType, MUDFile, MUDRefused, Reading, Side

MAX_LISTS = 64
MAX_ENTRIES = 4096
"""Of the whole file."""
_MAX_EXTENSIONS = 64
_TYPES = {
    "ipv4-acl-type": ListType.IPV4,
    "ipv6-acl-type": ListType.IPV6,
    "eth-acl-type": ListType.ETHERNET,
    "mixed-eth-ipv4-acl-type": ListType.IPV4,
    "mixed-eth-ipv6-acl-type": ListType.IPV6,
    "mixed-eth-ipv4-ipv6-acl-type": ListType.MIXED,
}


def read(content: bytes) -> Reading:
    """The file and what was noted. Raises ``MUDRefused`` for anything that could be read in two ways or not at all."""
    notes = Notes()
    document = Members(read_json(content), "the file")
    mud = Members(document.take("mud"), "ietf-mud:mud")
    lists = _access_lists(document, notes)
    for name in document.left():
        notes.add("mud:ignored:member", f"The file has {name[:80]!r}, which is no part of a MUD file.")
    version = mud.whole("mud-version", 0, 255)
    if version != 1:
        raise MUDRefused(f"The file says mud-version {version}; 1 is known.", code="mud:version:unsupported")
    policies = {side: _policy(mud, side, lists) for side in Side}
    for name in lists.keys() - {one.name for policy in policies.values() for one in policy}:
        notes.add("mud:list:unused", f"The list {name[:80]} is in no policy; it has no effect.")
    supported = mud.truth("is-supported")
    if supported is None:
        raise MUDRefused("The file does not say is-supported.", code="mud:form:missing")
    file = MUDFile(
        url=mud_url(mud.text("mud-url"), notes),
        last_update=_moment(mud.text("last-update", limit=64)),
        is_supported=supported,
        from_device=policies[Side.FROM_DEVICE],
        to_device=policies[Side.TO_DEVICE],
        cache_validity=timedelta(hours=_validity(mud)),
        systeminfo=_described(mud, notes),
        manufacturer=mud.text("mfg-name"),
        model=mud.text("model-name"),
        firmware_revision=mud.text("firmware-rev"),
        software_revision=mud.text("software-rev"),
        documentation=_uri(mud, "documentation"),
        signature=_uri(mud, "mud-signature"),
        extensions=_extensions(mud),
        tls_supported=mud.truth("is-tls-dtls-profile-supported"),
        application=read_application(mud.take(NAME)) if NAME in mud else None,
    )
    for name in mud.left():
        notes.add("mud:ignored:member", f"ietf-mud:mud has {name[:80]!r}, which is not known here.")
    if any(entry.tls for side in Side for one in file.policy(side) for entry in one.entries):
        notes.add("mud:tls:kept", "TLS profiles (RFC 9761) are kept and reported; packets are not judged by them.")
    return Reading(file, notes.all())


def _access_lists(document: Members, notes: Notes) -> dict[str, AccessList]:
    if "acls" in document and "access-lists" in document:
        raise MUDRefused("The file has acls and access-lists; which counts is not known.", code="mud:form:two-lists")
    if "access-lists" in document:
        notes.add(
            "mud:dialect:access-lists",
            "ietf-access-control-list:access-lists is the name of a draft; RFC 8519 says acls.",
        )
    key = "access-lists" if "access-lists" in document else "acls"
    if key not in document:
        return {}
    container = Members(document.take(key), key)
    found: dict[str, AccessList] = {}
    total = 0
    for number, value in enumerate(container.items("acl", MAX_LISTS)):
        one = _access_list(Members(value, f"access list {number}"), notes, MAX_ENTRIES - total)
        total += len(one.entries)
        if one.name in found:
            raise MUDRefused(f"Two access lists are named {one.name[:80]!r}.", code="mud:name:twice")
        found[one.name] = one
    return found


def _access_list(members: Members, notes: Notes, room: int) -> AccessList:
    name = entry_name(members, members.where, notes)
    written = members.text("type", limit=80).removeprefix("ietf-access-control-list:")
    if written in ("ethernet-acl-type", ""):
        notes.add("mud:dialect:list-type", f"The list type {written!r} is not one of RFC 8519.")
    type_ = _TYPES.get(written) or {"ethernet-acl-type": ListType.ETHERNET, "": ListType.MIXED}.get(written)
    if type_ is None:
        raise MUDRefused(f"The list {name[:80]} has the unknown type {written!r}.", code="mud:list:type")
    entries: list[Entry] = []
    names: set[str] = set()
    aces = Members(members.take("aces") if "aces" in members else {}, f"aces of {name[:80]}")
    for number, value in enumerate(aces.items("ace", max(room, 0))):
        entry = read_entry(value, type_, f"entry {number} of {name[:80]}", notes)
        if entry is None:
            continue
        if entry.name in names:
            raise MUDRefused(f"Two entries of {name[:80]} are named {entry.name[:80]!r}.", code="mud:name:twice")
        names.add(entry.name)
        entries.append(entry)
    if not written.startswith(("mixed", "eth")) and any(entry.ethernet for entry in entries):
        notes.add("mud:dialect:mixed-list", f"A list of type {type_.value} with Ethernet matches is a mixed list.")
    for left in (*members.left(), *aces.left()):
        notes.add("mud:ignored:member", f"The list {name[:80]} has {left[:80]!r}, which is not known here.")
    return AccessList(name, type_, tuple(entries))


def _policy(mud: Members, side: Side, lists: dict[str, AccessList]) -> tuple[AccessList, ...]:
    key = f"{side.value}-policy"
    if key not in mud:
        return ()
    policy = Members(mud.take(key), key)
    if "access-lists" not in policy:
        return ()
    named = Members(policy.take("access-lists"), f"access-lists of {key}")
    found: list[AccessList] = []
    for value in named.items("access-list", MAX_LISTS):
        name = Members(value, f"a list of {key}").text("name", limit=255)
        if name not in lists:
            raise MUDRefused(f"The {key} names the list {name[:80]!r}, which is not there.", code="mud:policy:dangling")
        if lists[name] in found:
            raise MUDRefused(f"The {key} names the list {name[:80]!r} twice.", code="mud:name:twice")
        found.append(lists[name])
    return tuple(found)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MUDRefused(f"last-update {text[:40]!r} is not a date and time.", code="mud:form:time") from error
    if moment.tzinfo is None:
        raise MUDRefused(f"last-update {text[:40]!r} has no time zone.", code="mud:form:time")
    return moment


def _validity(mud: Members) -> int:
    hours = mud.whole("cache-validity", 1, 168)
    return 48 if hours is None else hours


def _described(mud: Members, notes: Notes) -> str:
    text = mud.text("systeminfo")
    if len(text) > 60:
        notes.add("mud:dialect:long-systeminfo", "systeminfo has more than 60 characters.")
    return text


def _uri(mud: Members, name: str) -> str:
    text = mud.text(name)
    return uri(text, name) if text else ""


def _extensions(mud: Members) -> tuple[str, ...]:
    found: list[Any] = mud.items("extensions", _MAX_EXTENSIONS)
    if not all(isinstance(one, str) and 0 < len(one) <= 40 and one.isprintable() for one in found):
        raise MUDRefused("extensions must be names of at most 40 characters.", code="mud:form:extensions")
    return tuple(one for one in found if one != EXTENSION)  # ours is said by its member
