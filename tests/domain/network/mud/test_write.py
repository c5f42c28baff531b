"""What is written is read as the same, whatever the file."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import (
    AccessList,
    Action,
    Entry,
    Ethernet,
    ICMPMatch,
    Kind,
    ListType,
    MUDFile,
    Network,
    Peers,
    Ports,
    Side,
)
from bastide.network.profile.mud.write import write

_EMPTY = (Kind.LOCAL_NETWORKS, Kind.SAME_MANUFACTURER, Kind.MY_CONTROLLER)
_NAMES = {
    Kind.MANUFACTURER: "maker.example",
    Kind.MODEL: "https://m.example/x",
    Kind.CONTROLLER: "urn:ietf:params:mud:dns",
}
_text = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=40)
_dns = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), min_size=1, max_size=4).map(".".join)
_numbers = st.none() | st.integers(0, 255)


@st.composite
def ports(draw: st.DrawFn) -> Ports:
    low, high = sorted((draw(st.integers(0, 65535)), draw(st.integers(0, 65535))))
    return Ports(low, low, negated=True) if draw(st.booleans()) else Ports(low, high)


@st.composite
def entries(draw: st.DrawFn, name: str, of: ListType) -> Entry:
    version = {ListType.IPV4: 4, ListType.IPV6: 6, ListType.ETHERNET: None}.get(of, draw(st.sampled_from([4, 6])))
    kinds = draw(st.lists(st.sampled_from(list(Kind)), unique=True, max_size=3))
    peers = tuple(Peers(kind, "" if kind in _EMPTY else _NAMES[kind]) for kind in Kind if kind in kinds)
    ethernet = draw(
        st.none() | st.builds(Ethernet, ethertype=st.integers(0, 65535), destination=st.just("02:00:00:00:00:01"))
    )
    entry = Entry(name, draw(st.sampled_from(Action)), version, peers=peers, ethernet=ethernet)
    if version is None:
        return entry
    protocol = draw(st.sampled_from([None, 2, 6, 17, 1 if version == 4 else 58]))
    addresses: st.SearchStrategy[Network] = st.integers(0, 2**32 - 1).map(lambda one: IPv4Network(one)) | st.just(
        IPv4Network("10.0.0.0/8")
    )
    if version == 6:
        addresses = st.integers(0, 2**128 - 1).map(lambda one: IPv6Network(one))
    transport = protocol in (6, 17)
    return Entry(
        name,
        entry.action,
        version,
        protocol,
        draw(st.none() | addresses),
        draw(st.none() | addresses),
        draw(st.just("") | _dns),
        draw(st.just("") | _dns),
        draw(st.none() | ports()) if transport else None,
        draw(st.none() | ports()) if transport else None,
        draw(st.none() | st.builds(ICMPMatch, _numbers, _numbers)) if protocol in (1, 58) else None,
        draw(st.none() | st.sampled_from(Side)) if protocol == 6 else None,
        peers,
        ethernet,
        draw(st.sampled_from(["", '{"tls-dtls-profile":[{"name":"a"}]}'])),
    )


@st.composite
def files(draw: st.DrawFn) -> MUDFile:
    lists: list[AccessList] = []
    for number in range(draw(st.integers(0, 3))):
        of = draw(st.sampled_from(ListType))
        names = draw(st.lists(_text, unique=True, max_size=4))
        lists.append(AccessList(f"list{number}", of, tuple(draw(entries(name, of)) for name in names)))
    split = draw(st.integers(0, len(lists)))
    return MUDFile(
        "https://maker.example/device.json",
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 10**6))),
        draw(st.booleans()),
        tuple(lists[:split]),
        tuple(lists[split:]),
        timedelta(hours=draw(st.integers(1, 168))),
        systeminfo=draw(st.just("") | _text),
        manufacturer=draw(st.just("") | _text),
        extensions=tuple(draw(st.lists(_text, max_size=2))),
        tls_supported=draw(st.none() | st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(files())
def test_a_written_file_is_read_as_what_it_was(file: MUDFile) -> None:
    assert read(write(file)).file == file
    assert {note.code for note in read(write(file)).notes} <= {"mud:tls:kept"}
