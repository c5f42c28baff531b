"""Whose an address is that several devices are said to have."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

from bastide.core.device import Attribute, Device
from bastide.core.ids import SiteName
from bastide.core.standing import Stage
from bastide.network.segmentation.owners import Owners
from bastide.testing.clock import EPOCH
from tests.ports.values import A, B, device

HERE = ip_address("192.0.2.7")


def having(one: Device, minutes: int, source: str = "scan:hall", address: str = "192.0.2.7") -> Device:
    said = Attribute("address", address, source, 0.7, EPOCH + timedelta(minutes=minutes))
    return replace(one, attributes=(*one.attributes, said))


def not_its(asked: Device, *devices: Device) -> frozenset[object]:
    owners = Owners()
    for one in devices:
        owners.note(one)
    return frozenset(owners.not_its(asked))


def test_a_lease_that_went_to_somebody_else_is_theirs() -> None:
    old, new = having(device(A), 0), having(device(B), 5)
    for order in ((old, new), (new, old)):
        assert not_its(old, *order) == {HERE}
        assert not_its(new, *order) == frozenset()


def test_a_persons_word_counts_before_what_was_seen() -> None:
    told, seen = having(device(A), 0, "person"), having(device(B), 5)
    assert not_its(seen, told, seen) == {HERE}
    imported = having(device(A), 0, "person:stock.csv")
    assert not_its(seen, imported, seen) == {HERE}


def test_whoever_is_retired_yields() -> None:
    gone, new = replace(having(device(A), 9, "person"), stage=Stage.RETIRED), having(device(B), 5)
    assert not_its(gone, gone, new) == {HERE}
    assert not_its(gone, gone) == frozenset()


def test_another_sites_address_is_another_address() -> None:
    one, other = having(device(A), 0), replace(having(device(B), 5), site=SiteName("oslo"))
    assert not_its(one, one, other) == frozenset()


def test_the_same_moment_is_decided_by_the_lower_id() -> None:
    one, other = having(device(A), 5), having(device(B), 5)
    for order in ((one, other), (other, one)):
        assert not_its(min(one, other, key=lambda each: each.id), *order) == frozenset()
        assert not_its(max(one, other, key=lambda each: each.id), *order) == {HERE}
