"""One entry more in a profile: exactly the flow that was meant is permitted, and what was there stays as it was."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address

from hypothesis import given
from hypothesis import strategies as some

from bastide.network.profile.amend import Flow, empty, permit
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.words import DNS_CONTROLLER, Kind, MUDFile, Peers
from bastide.network.profile.mud.write import write
from bastide.network.segmentation.simulate import judge
from bastide.network.segmentation.site import Site
from bastide.network.traffic.conversations import Talk

AT = datetime(2026, 11, 26, tzinfo=UTC)
DEVICE = (ip_address("192.168.1.20"), ip_address("fd00::20"))
NOTHING = empty("https://maker.example/lamp.json", AT, "A lamp")


def _talk(flow: Flow) -> Talk:
    return Talk(
        "", flow.peer, flow.peer_name, flow.transport, flow.port, flow.transport, flow.opened_by_device,
        1, 1, 1, 1, 1, 0, 1,
    )  # fmt: skip


def _kept(flow: Flow, file: MUDFile, site: Site | None = None) -> bool:
    names = {flow.peer_name: (ip_address(flow.peer),)} if flow.peer_name else {}
    return judge(_talk(flow), file, site or Site(names=names), DEVICE).allowed


FLOWS = some.builds(
    Flow,
    peer=some.one_of(some.ip_addresses(v=4), some.ip_addresses(v=6)).map(str),
    peer_name=some.sampled_from(("", "cloud.example", "time.example")),
    transport=some.sampled_from(("tcp", "udp")),
    port=some.integers(1, 65535),
    opened_by_device=some.booleans(),
)


@given(wanted=FLOWS, other=FLOWS)
def test_what_was_added_is_permitted_and_what_differs_is_not(wanted: Flow, other: Flow) -> None:
    amended = read(write(permit(NOTHING, wanted, {}, AT))).file
    assert _kept(wanted, amended)
    same_peer = wanted.peer_name == other.peer_name if wanted.peer_name else wanted.peer == other.peer
    # A name stands for its addresses of either version; what is added is for one.
    same_version = ip_address(wanted.peer).version == ip_address(other.peer).version
    alike = (wanted.transport, wanted.port, wanted.opened_by_device) == (
        other.transport, other.port, other.opened_by_device,
    )  # fmt: skip
    if wanted.transport == other.transport == "udp" and wanted.port == other.port:
        return  # a datagram says nothing of who began: both ways are one entry in RFC 8520's terms
    assert _kept(other, amended) == (same_peer and same_version and alike)


def test_what_is_permitted_already_changes_nothing() -> None:
    flow = Flow("192.0.2.7", "cloud.example", "tcp", 443, True)
    once = permit(NOTHING, flow, {}, AT)
    assert permit(once, flow, {}, AT) is once


def test_an_address_that_the_site_calls_a_controller_is_added_as_that_class() -> None:
    server = "192.168.1.1"
    amended = permit(NOTHING, Flow(server, "", "udp", 53, True), {server: DNS_CONTROLLER}, AT)
    named = Peers(Kind.CONTROLLER, DNS_CONTROLLER)
    assert [entry.peers for entry in amended.from_device[0].entries] == [(named,)]
    elsewhere = Site(peers={named: (IPv4Address("192.168.7.7"),)})
    assert _kept(Flow("192.168.7.7", "", "udp", 53, True), amended, elsewhere)
    assert not _kept(Flow(server, "", "udp", 53, True), amended, elsewhere)


def test_what_the_maker_wrote_stays_in_its_own_lists() -> None:
    first = permit(NOTHING, Flow("192.0.2.7", "", "tcp", 443, True), {}, AT)
    second = permit(first, Flow("192.0.2.8", "", "tcp", 443, True), {}, AT)
    assert second.from_device[0].entries[0] == first.from_device[0].entries[0]
    assert [entry.name for entry in second.from_device[0].entries] == ["added-fr4-0", "added-fr4-1"]
