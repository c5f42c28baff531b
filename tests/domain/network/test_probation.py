"""What a device misses once its profile is enforced, and which mode counts for it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId
from bastide.core.mode import Over, Setting, mode_for, setting_for
from bastide.core.plan import NetworkMode
from bastide.core.ruling import Ruling
from bastide.network.profile.amend import Flow
from bastide.network.profile.mud.words import Side
from bastide.network.segmentation.probation import missed
from bastide.testing.clock import EPOCH
from tests.ports import values

DEVICE = DeviceId("d-" + "a" * 20)


def said(
    peer: str, port: int = 443, flows: int = 10, name: str = "", *, out: bool = True, answers: int = 5
) -> Conversation:
    return Conversation(DEVICE, peer, name, "tcp", port, "tls", out, flows, 10, answers, 900, 900, EPOCH, EPOCH)


def denied(peer: str, port: int = 443, side: Side = Side.FROM_DEVICE) -> Flow:
    return Flow(peer, "", "tcp", port, side is Side.FROM_DEVICE)


def test_what_is_missed_is_weighed_by_its_flows() -> None:
    before = [said("192.0.2.1", flows=90), said("192.0.2.2", flows=10)]
    found = missed(before, {denied("192.0.2.2")})
    assert found.share == pytest.approx(0.1)
    assert [one.peer for one in found.lost] == ["192.0.2.2"]


def test_what_nobody_answered_is_not_missed() -> None:
    assert missed([said("192.0.2.1", answers=0)], {denied("192.0.2.1")}).share == 0.0


def test_a_denial_of_what_was_never_done_before_is_no_loss() -> None:
    before = [said("192.0.2.1")]
    for other in (denied("192.0.2.9"), denied("192.0.2.1", 22), denied("192.0.2.1", 443, Side.TO_DEVICE)):
        assert missed(before, {other}).lost == ()


def test_a_host_that_moved_between_its_addresses_is_the_same_by_its_name() -> None:
    before = [said("192.0.2.1", name="cdn.example"), said("192.0.2.2", name="cdn.example"), said("192.0.2.3")]
    assert [one.peer for one in missed(before, {denied("192.0.2.2")}).lost] == ["192.0.2.1", "192.0.2.2"]


def test_what_a_person_kept_denied_is_not_missed() -> None:
    kept = Ruling("r-1", DEVICE, "192.0.2.2", "tcp", 443, True, None, "it tells tales", "p-1", EPOCH)
    before = [said("192.0.2.1"), said("192.0.2.2")]
    assert missed(before, {denied("192.0.2.2")}, [kept]).share == 0.0
    assert missed(before, {denied("192.0.2.2")}, [replace(kept, until=EPOCH)]).share == 0.5


def test_the_narrowest_mode_counts_and_nothing_set_means_enforced() -> None:
    device = values.device()
    own = Setting(Over.DEVICE, device.id, NetworkMode.OBSERVE, "r", "p", EPOCH)
    kind = Setting(Over.PROFILE, device.profile, NetworkMode.ENFORCE, "r", "p", EPOCH)
    zone = Setting(Over.ZONE, device.zone, NetworkMode.OBSERVE, "r", "p", EPOCH)
    assert mode_for(device, ()) is NetworkMode.ENFORCE
    assert setting_for(device, (zone, kind, own)) == own
    assert setting_for(device, (zone, kind)) == kind
    assert setting_for(device, (zone, replace(kind, ended_at=EPOCH))) == zone
    assert setting_for(device, (replace(zone, name="elsewhere"),)) is None


def test_a_probation_ends_by_itself_and_with_the_mode() -> None:
    setting = Setting(
        Over.ZONE, "z", NetworkMode.ENFORCE, "r", "p", EPOCH, probation_ends=EPOCH + timedelta(minutes=15)
    )
    assert setting.on_probation(EPOCH + timedelta(minutes=14))
    assert not setting.on_probation(EPOCH + timedelta(minutes=15))
    assert not replace(setting, ended_at=EPOCH).on_probation(EPOCH)
