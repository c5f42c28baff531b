"""What is stated, by whom, and what follows from it."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.device import Attribute, Device
from bastide.core.error import Refused
from bastide.core.ids import DeviceClass, DeviceId, OwnerName, ProfileName, SiteName, ZoneName
from bastide.core.standing import Stage, Standing
from bastide.operations.inventory.attributes import MOST, best, conflicts, described, merged, stated
from bastide.operations.inventory.changes import changes
from bastide.operations.inventory.search import Term, matches, parse_query, words_of
from bastide.operations.inventory.sheet import BadSheet, csv_lines, read_sheet, row
from bastide.operations.inventory.sighting import Sighting, is_key, key_of, mac_key, own_id

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SITE = SiteName("main")
SEEN = Sighting(
    "00:11:22:33:44:55", NOW, NOW, vendor="Acme", host_names=("Hall Cam",), models=("C-1",), firmware=("1.0",),
    services=("tcp/80 http",), type="C-1", type_confidence=0.9,
)  # fmt: skip


def device(*attributes: Attribute, name: str = "cam") -> Device:
    return Device(
        DeviceId("d-" + "a" * 20), DeviceClass("unidentified"), OwnerName("nobody"), SITE, ZoneName("default"),
        ProfileName("generic"), Standing.UNKNOWN, Stage.RECEIVED, NOW, name=name, attributes=attributes,
    )  # fmt: skip


def test_a_lasting_address_is_the_key_whatever_the_lease() -> None:
    moved = replace(SEEN, addresses=("10.0.0.9",), host_names=("other",))
    assert key_of(SEEN, SITE) == key_of(moved, SITE) == "mac:00:11:22:33:44:55"


def test_a_randomised_address_is_no_key_but_a_name_of_its_own_is() -> None:
    phone = replace(SEEN, mac="02:11:22:33:44:55", host_names=("iPhone", "Annas Phone"))
    assert key_of(phone, SITE) == "name:main/annas-phone"
    assert key_of(replace(phone, host_names=("iphone", "ESP")), SITE) is None
    assert key_of(replace(phone, host_names=()), SITE) is None


def test_the_same_key_is_always_the_same_device() -> None:
    assert own_id(mac_key(SEEN.mac)) == own_id("mac:00:11:22:33:44:55") != own_id("mac:00:11:22:33:44:56")
    assert is_key("mac:00:11:22:33:44:55")
    assert is_key("name:main/annas-phone")
    assert not is_key("mac:00:11")
    assert not is_key("d-" + "a" * 20)


def test_a_source_replaces_what_it_said_and_touches_nobody_elses() -> None:
    first = merged((), stated(SEEN, "scan:a"), "scan:a")
    newer = stated(replace(SEEN, firmware=("1.1",)), "scan:a")
    other = stated(SEEN, "scan:b")
    after = merged(merged(first, other, "scan:b"), newer, "scan:a")
    assert {(one.source, one.value) for one in after if one.name == "firmware"} == {
        ("scan:a", "1.1"),
        ("scan:b", "1.0"),
    }


def test_contradictions_are_shown_and_a_persons_word_comes_first() -> None:
    known = stated(SEEN, "scan:a") + stated(replace(SEEN, vendor="Other", firmware=("1.0",)), "scan:b")
    (conflict,) = conflicts(known, NOW)
    assert (conflict.name, {one.value for one in conflict.values}) == ("vendor", {"Acme", "Other"})
    known = described(known, {"vendor": "Third"}, "person", NOW - timedelta(days=900))
    shown = best(known, "vendor", NOW)
    assert shown is not None
    assert shown.value == "Third"
    assert conflicts(described(known, {"vendor": ""}, "person", NOW), NOW)[0].values[0].value != "Third"


def test_an_old_statement_weighs_less_than_a_new_one() -> None:
    old = Attribute("model", "A", "scan:a", 0.9, NOW - timedelta(days=400))
    new = Attribute("model", "B", "scan:b", 0.6, NOW)
    shown = best((old, new), "model", NOW)
    assert shown is new


def test_what_is_kept_is_bounded_and_a_person_is_never_pushed_out() -> None:
    mine = Attribute("notes", "keep", "person", 1.0, NOW - timedelta(days=999))
    crowd = tuple(Attribute("address", f"10.0.{at // 250}.{at % 250}", "scan:z", 0.7, NOW) for at in range(MOST + 50))
    kept = merged((mine,), crowd, "scan:z")
    assert len(kept) == MOST
    assert mine in kept


def test_a_change_is_another_value_of_what_is_watched_and_nothing_else() -> None:
    before = stated(SEEN, "scan:a")
    assert changes(before, stated(replace(SEEN, addresses=("10.0.0.7",), protocols=("dns",)), "scan:b")) == ()
    told = changes(
        before, stated(replace(SEEN, firmware=("2.0",), services=("tcp/80 http", "tcp/23 telnet")), "scan:b")
    )
    assert [str(one) for one in told] == ["firmware: 1.0 -> 2.0", "service: nothing -> tcp/23 telnet"]
    assert changes((), before) == ()
    assert changes(before, stated(Sighting(SEEN.mac, NOW, NOW), "scan:b")) == ()


def test_searching_as_one_types() -> None:
    one = device(*stated(SEEN, "scan:a"))
    for query in (
        "acme",
        "vendor:acm firmware:1.0",
        "standing:unknown",
        "-telnet",
        "site:main hall",
        '"hall cam"',
        "model:",
        "vendor:=acme",
        "",
    ):
        assert matches(one, parse_query(query), NOW), query
    for query in ("vendor:x", "-acme", "serial:", "conflict:", "acme telnet", "vendor:=acm"):
        assert not matches(one, parse_query(query), NOW), query
    assert matches(one, parse_query("00:11:22:33:44:55"), NOW)
    with pytest.raises(Refused):
        parse_query('"open')
    with pytest.raises(Refused):
        parse_query("x " * 21)


@given(query=st.text(alphabet="acme: -=\"1.0hlptn'", max_size=30))
def test_the_sieve_of_words_lets_everything_through_that_matches(query: str) -> None:
    one = device(*stated(SEEN, "scan:a"))
    try:
        terms = parse_query(query)
    except Refused:
        return
    kept = repr(one).lower()
    if matches(one, terms, NOW):
        assert all(word in kept for word in words_of(terms)), terms


def test_an_apostrophe_is_no_quotation_mark() -> None:
    assert parse_query("Bob's cam") == (Term("", "bob's"), Term("", "cam"))


def test_what_is_taken_out_can_be_brought_in() -> None:
    one = device(*stated(SEEN, "scan:a"), name="=cmd|' /C calc'!A0")
    text = "".join(csv_lines([row(one, NOW)]))
    assert ",'=cmd" in text
    (entry,) = read_sheet(text)
    assert (entry.id, entry.mac, entry.name) == (one.id, SEEN.mac, one.name)
    assert entry.facts == {"model": "C-1", "firmware": "1.0", "type": "C-1", "vendor": "Acme"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no rows"),
        ("mac,colour\n00:11:22:33:44:55,red\n", "colour"),
        ("mac\nzz\n", "not a MAC"),
        ("mac\n02:11:22:33:44:55\n", "randomised"),
        ("name\nx\n", "neither an id nor a MAC"),
        ("id\nx\n", "not a device's id"),
        ("mac,owner\n00:11:22:33:44:55,Big Boss\n", "cannot name a owner"),
        ("[1]", "not an object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_with_its_row(text: str, why: str) -> None:
    with pytest.raises(BadSheet, match=why):
        read_sheet(text)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadSheet):
        read_sheet(text)
    with contextlib.suppress(Refused):
        parse_query(text)
