"""MUD files are accepted with notes or refused with one reason; nothing can be read in two ways."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bastide.network.profile.mud.read import MAX_ENTRIES, read
from bastide.network.profile.mud.strictjson import MAX_BYTES, MAX_DEPTH
from bastide.network.profile.mud.words import Kind, MUDRefused, Peers, Ports, Side
from bastide.network.profile.mud.write import write
from tests.domain.network.mud.files import cloud, encoded, lamp
from tests.peers import shared_data


def refused(content: bytes) -> str:
    with pytest.raises(MUDRefused) as caught:
        read(content)
    assert caught.value.sentence.strip()
    return caught.value.reason


def entry_of(matches: dict[str, Any], acl: str = "from4") -> Any:
    reading = read(encoded(lamp(**{acl: [matches]})))
    lists = {one.name: one for side in Side for one in reading.file.policy(side)}
    return lists[acl].entries[0]


def test_the_strict_form_needs_no_note() -> None:
    assert read(encoded(lamp(from4=[cloud()]))).notes == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"operator": "eq", "port": 80}, Ports(80, 80)),
        ({"port": 80}, Ports(80, 80)),
        ({"operator": "neq", "port": 80}, Ports(80, 80, negated=True)),
        ({"operator": "lte", "port": 80}, Ports(0, 80)),
        ({"operator": "gte", "port": 80}, Ports(80, 65535)),
        ({"lower-port": 80, "upper-port": 90}, Ports(80, 90)),
        ({"lower-port": 80}, Ports(80, 80)),
    ],
)
def test_port_operators_are_those_of_rfc_8519(written: dict[str, Any], meant: Ports) -> None:
    assert entry_of({"ipv4": {"protocol": 17}, "udp": {"source-port": written}}).source_ports == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"local-networks": [None]}, Peers(Kind.LOCAL_NETWORKS)),
        ({"same-manufacturer": [None]}, Peers(Kind.SAME_MANUFACTURER)),
        ({"my-controller": [None]}, Peers(Kind.MY_CONTROLLER)),
        ({"manufacturer": "Lamps.example"}, Peers(Kind.MANUFACTURER, "lamps.example")),
        ({"model": "https://lamps.example/b.json"}, Peers(Kind.MODEL, "https://lamps.example/b.json")),
        ({"controller": "urn:ietf:params:mud:dns"}, Peers(Kind.CONTROLLER, "urn:ietf:params:mud:dns")),
    ],
)
def test_every_class_of_peers_is_read(written: dict[str, Any], meant: Peers) -> None:
    assert entry_of({"ietf-mud:mud": written, "ipv4": {"protocol": 17}}).peers == (meant,)


def test_a_tls_profile_is_kept_and_noted() -> None:
    matches = cloud() | {
        "ietf-acl-tls:client-profiles": {"tls-dtls-profile": [{"name": "a", "supported-tls-versions": []}]}
    }
    reading = read(encoded(lamp(from4=[matches])))
    assert "tls-dtls-profile" in reading.file.from_device[0].entries[0].tls
    assert [note.code for note in reading.notes] == ["mud:tls:kept"]
    assert read(write(reading.file)).file == reading.file


def dialect(change: Callable[[dict[str, Any]], Any]) -> list[str]:
    document = lamp(from4=[cloud()])
    change(document)
    return [note.code for note in read(encoded(document)).notes]


def test_dialects_are_accepted_with_a_note_and_written_in_the_strict_form() -> None:
    def draft(document: dict[str, Any]) -> None:
        document["ietf-access-control-list:access-lists"] = document.pop("ietf-access-control-list:acls")

    assert dialect(draft) == ["mud:dialect:access-lists"]
    assert dialect(lambda d: d["ietf-mud:mud"].update({"mud-url": "http://lamps.example/x"})) == [
        "mud:dialect:http-url"
    ]
    local = {"ietf-mud:mud": {"local-networks": True}, "ipv4": {"protocol": "udp"}}
    noted = read(encoded(lamp(from4=[local])))
    assert [note.code for note in noted.notes] == ["mud:dialect:empty-leaf", "mud:dialect:protocol-name"]
    assert read(write(noted.file)).notes == ()


_HOSTILE: list[tuple[str, bytes]] = [
    ("mud:json:too-large", b" " * (MAX_BYTES + 1)),
    ("mud:json:too-deep", b"[" * 100_000),
    ("mud:json:too-deep", b'{"a":' * (MAX_DEPTH + 1)),
    ("mud:json:duplicate-name", b'{"ietf-mud:mud": {}, "ietf-mud:mud": {}}'),
    ("mud:json:duplicate-name", b'{"ietf-mud:mud": {}, "mud": {}}'),
    ("mud:json:duplicate-name", b'{"a": 1, "\\u0061": 2}'),
    ("mud:json:not-utf8", b"\xff\xfe{}"),
    ("mud:json:syntax", b"{"),
    ("mud:json:number", b'{"a": NaN}'),
    ("mud:json:number", b'{"a": 1e5}'),
    ("mud:json:number", b'{"a": ' + b"9" * 5000 + b"}"),
    ("mud:form:not-an-object", b"[]"),
    ("mud:form:not-an-object", b"{}"),
]


@pytest.mark.parametrize(("code", "content"), _HOSTILE)
def test_hostile_json_is_refused_before_it_is_believed(code: str, content: bytes) -> None:
    assert refused(content) == code


def _ipv4(**fields: Any) -> dict[str, Any]:
    return {"ipv4": {name.replace("_", "-"): value for name, value in fields.items()}}


@pytest.mark.parametrize(
    ("code", "matches"),
    [
        ("mud:name:not-ascii", cloud("clоud.example")),  # the o is Cyrillic
        ("mud:name:address", cloud("8.8.8.8")),
        ("mud:name:address", cloud("0x7f000001")),
        ("mud:name:address", cloud("127.1")),
        ("mud:name:syntax", cloud("*.example")),
        ("mud:name:syntax", cloud("a..example")),
        ("mud:name:syntax", cloud('a"; flush ruleset; #.example')),
        ("mud:name:syntax", cloud("a." * 127 + "example")),
        ("mud:form:text-too-long", cloud("a" * 5000)),
        ("mud:form:unprintable", cloud("a\n.example")),
        ("mud:form:unprintable", cloud("a‮.example")),
        ("mud:match:unsupported", _ipv4(ttl=1)),
        ("mud:match:unsupported", {"vendor:magic": {}}),
        ("mud:match:protocol", _ipv4(protocol=300)),
        ("mud:match:protocol", _ipv4(protocol=True)),
        ("mud:address:syntax", _ipv4(destination_ipv4_network="10.0.0.0/40")),
        ("mud:entry:contradiction", {"ipv4": {"protocol": 17}, "tcp": {}}),
        ("mud:entry:contradiction", {"tcp": {}, "udp": {}}),
        ("mud:entry:contradiction", {"ipv4": {}, "ipv6": {}}),
        ("mud:entry:contradiction", {"ipv6": {}}),
        ("mud:match:ports", {"tcp": {"source-port": {"lower-port": 9, "upper-port": 8}}}),
        ("mud:match:ports", {"tcp": {"source-port": {"operator": "eq"}}}),
        ("mud:match:ports", {"tcp": {"source-port": {"operator": "like", "port": 1}}}),
        ("mud:form:number", {"tcp": {"source-port": {"port": 65536}}}),
        ("mud:form:number", {"tcp": {"source-port": {"port": "80"}}}),
        ("mud:match:direction", {"tcp": {"ietf-mud:direction-initiated": "both"}}),
        ("mud:match:unsupported", {"udp": {"ietf-mud:direction-initiated": "from-device"}}),
        ("mud:name:uri", {"ietf-mud:mud": {"controller": "no uri"}}),
        ("mud:name:uri", {"ietf-mud:mud": {"model": 'https://a/"; drop'}}),
        ("mud:name:authority", {"ietf-mud:mud": {"manufacturer": "a/b"}}),
        ("mud:form:not-empty", {"ietf-mud:mud": {"local-networks": ["10.0.0.0/8"]}}),
    ],
)
def test_an_entry_that_cannot_be_kept_to_is_refused(code: str, matches: dict[str, Any]) -> None:
    assert refused(encoded(lamp(from4=[matches]))) == code


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    document = lamp(from4=[cloud(), cloud()])
    change(document)
    return refused(encoded(document))


def test_a_file_that_contradicts_itself_is_refused() -> None:
    acls = "ietf-access-control-list:acls"
    mud = "ietf-mud:mud"
    assert changed(lambda d: d[acls]["acl"].append(d[acls]["acl"][0])) == "mud:name:twice"
    assert changed(lambda d: d[acls]["acl"].pop()) == "mud:policy:dangling"
    assert changed(lambda d: d[acls]["acl"][0]["aces"]["ace"][0].update(name="from4-1")) == "mud:name:twice"
    assert changed(lambda d: d[acls]["acl"][0].update(type="ipv5-acl-type")) == "mud:list:type"
    assert changed(lambda d: d[acls]["acl"][0]["aces"]["ace"][0]["actions"].update(forwarding="mirror")) == (
        "mud:action:unknown"
    )
    assert changed(lambda d: d[mud].update({"mud-version": 2})) == "mud:version:unsupported"
    assert changed(lambda d: d[mud].pop("is-supported")) == "mud:form:missing"
    assert changed(lambda d: d[mud].update({"cache-validity": 169})) == "mud:form:number"
    assert changed(lambda d: d[mud].update({"last-update": "2026-01-02T03:04:05"})) == "mud:form:time"
    assert changed(lambda d: d[mud].update({"mud-url": "https://user@host/x"})) == "mud:url:syntax"
    assert changed(lambda d: d.update({"ietf-access-control-list:access-lists": {}})) == "mud:form:two-lists"


def test_the_number_of_entries_is_bounded() -> None:
    tiny: list[dict[str, Any]] = [{} for _ in range(MAX_ENTRIES + 1)]
    assert refused(encoded(lamp(from4=tiny))) == "mud:form:too-many"


def test_the_learned_files_of_real_devices_are_accepted_and_written_strictly() -> None:
    files = sorted(shared_data("mud", "unsw").glob("*.json"))
    assert len(files) >= 14
    for path in files:
        reading = read(path.read_bytes())
        assert "mud:dialect:access-lists" in {note.code for note in reading.notes}
        again = read(write(reading.file))
        assert again.file == reading.file, path.name
        assert again.notes == (), path.name
        assert json.loads(write(again.file)) == json.loads(write(reading.file))
