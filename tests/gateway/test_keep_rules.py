"""The keeper of rules against a real kernel: zones, cells, exceptions, spoofing, generations, drift; packets decide."""

import json
import random
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.adapters.gateway.journal import ItemFile
from bastide.core.error import BastideError, Refused, Unavailable
from bastide.core.plan import Circle, NetworkMode
from bastide.flows.on_gateway.keep_rules import Keeper
from bastide.network.segmentation.drift import differences, expected, snapshot
from bastide.network.segmentation.holding import Holding
from bastide.network.segmentation.ruleset import as_text
from bastide.wire.gateway import AllowanceForm, ConduitForm, FrameForm, MemberForm
from tests.gateway.lan import HOSTS, Lan, There, mac
from tests.gateway.plans import GATEWAY, PLAN_KEY, device_id, item, member, mud

WEB, OTHER, REPAIR = HOSTS[0], HOSTS[1], HOSTS[3]
FRAME = FrameForm(
    controllers={"urn:ietf:params:mud:dns": ["10.50.0.1"]},
    remediation=[f"{REPAIR}/32"],
    onboarding=[f"{HOSTS[4]}/32"],
)
GOLDEN = Path(__file__).parents[1] / "golden" / "segmentation_gateway.nft"


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(2) as made:
        yield made


def keeper(kernel: There, folder: Path, ports: int = 2) -> Keeper:
    made = Keeper(
        GATEWAY,
        PLAN_KEY,
        tuple(f"lan{i}" for i in range(ports)),
        kernel,
        ItemFile(folder / "plan.log"),
        lambda: datetime.now(UTC),
    )
    made.start()
    return made


def set_up(kernel: There, folder: Path) -> Keeper:
    made = keeper(kernel, folder)
    made.take(item("frame", 1, FRAME))
    made.take(item("mud/lamp", 1, mud("lamp", hosts=(WEB,))))
    made.take(item(f"device/{device_id(0)}", 1, member(0)))
    return made


def test_the_ruleset_of_a_small_gateway_is_the_one_that_was_reviewed(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.take(item("mud/hub", 1, mud("hub", names=("hub.example",))))
    made.take(item(f"device/{device_id(1)}", 1, member(1, profile="hub", mode=NetworkMode.OBSERVE, cell="plant")))
    text = as_text(made._holding.ruleset())
    assert text.count("hook ") == 1  # one base chain
    assert GOLDEN.read_text() == text


def test_before_the_first_plan_nothing_gets_through(lan: Lan, tmp_path: Path) -> None:
    assert lan.udp(lan.devices[0], lan.internet, WEB)
    keeper(lan.kernel(), tmp_path)
    assert not lan.udp(lan.devices[0], lan.internet, WEB, expected=False)


def test_a_device_reaches_what_its_profile_names_and_nothing_else(lan: Lan, tmp_path: Path) -> None:
    set_up(lan.kernel(), tmp_path)
    one, two = lan.devices
    assert lan.udp(one, lan.internet, WEB)
    assert not lan.udp(one, lan.internet, OTHER, expected=False)
    assert not lan.udp(one, lan.internet, WEB, 444, expected=False)
    assert not lan.udp(two, lan.internet, WEB, expected=False)  # unknown
    assert lan.udp(two, lan.internet, HOSTS[4])  # but it may enrol
    assert not lan.udp(one, two, "10.50.1.2", expected=False)
    assert not lan.udp(lan.internet, one, "10.50.0.2", of="203.0.113.2", expected=False)
    assert not lan.udp(lan.internet, two, "10.50.1.2", of="203.0.113.2", expected=False)


def test_quarantine_ends_an_open_connection_and_leaves_the_way_to_repair(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    with lan.tcp(lan.devices[0], lan.internet, WEB) as connection:
        assert connection.carries()
        made.take(item(f"device/{device_id(0)}", 2, member(0, Circle.QUARANTINE)))
        assert not connection.carries(expected=False)
        assert made.settle() == 1  # and nothing reaches it on that connection any more
        assert not connection.answers()
    assert lan.udp(lan.devices[0], lan.internet, REPAIR)
    made.take(item(f"device/{device_id(0)}", 3, member(0)))
    assert lan.udp(lan.devices[0], lan.internet, WEB)


def test_connections_of_another_device_live_through_every_change(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    with lan.tcp(lan.devices[0], lan.internet, WEB) as connection:
        made.take(item(f"device/{device_id(1)}", 1, member(1, Circle.GUEST)))
        assert connection.carries()
        made.take(item(f"device/{device_id(1)}", 2, member(1, Circle.QUARANTINE)))
        assert connection.carries()
        made.take(item("frame", 2, FRAME))
        assert connection.carries()


def test_observed_a_device_is_let_through_and_counted(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.take(item(f"device/{device_id(0)}", 2, member(0, mode=NetworkMode.OBSERVE)))
    assert lan.udp(lan.devices[0], lan.internet, OTHER)
    assert "watch_from" in lan.gateway.command(["nft", "list", "ruleset"])


def test_guests_see_the_internet_and_nothing_local(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.take(item(f"device/{device_id(1)}", 1, member(1, Circle.GUEST)))
    assert lan.udp(lan.devices[1], lan.internet, OTHER)
    assert not lan.udp(lan.devices[1], lan.devices[0], "10.50.0.2", expected=False)


@pytest.mark.parametrize("circle", [Circle.NOTHING, Circle.MAINTENANCE])
def test_some_reach_nobody(lan: Lan, tmp_path: Path, circle: Circle) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.take(item(f"device/{device_id(0)}", 2, member(0, circle)))
    for host in (WEB, REPAIR, HOSTS[4]):
        assert not lan.udp(lan.devices[0], lan.internet, host, expected=False)


def test_a_third_party_reaches_one_device_until_its_time_is_over(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.take(item(f"device/{device_id(1)}", 1, member(1, Circle.MAINTENANCE)))
    way = AllowanceForm("10.50.1.2", "10.50.0.2", "udp", 443, datetime.now(UTC) + timedelta(hours=1))
    made.take(item("allow/ticket-1", 1, way))
    assert lan.udp(lan.devices[1], lan.devices[0], "10.50.0.2")
    assert not lan.udp(lan.devices[1], lan.devices[0], "10.50.0.2", 444, expected=False)
    listed = lan.gateway.command(["nft", "list", "set", "inet", "bastide", "allowed4"])
    assert "expires 59m" in listed  # the kernel ends it, whoever is dead by then
    made.take(item("allow/ticket-1", 2, b""))
    made.kernel.forget_connections([ip_address("10.50.1.2").packed])
    assert not lan.udp(lan.devices[1], lan.devices[0], "10.50.0.2", expected=False)


def test_cells_talk_through_conduits_only(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    conduit = ConduitForm("hmi", "plc", "udp", 443)
    made.take(item("frame", 2, FrameForm(conduits=[conduit])))
    made.take(item("mud/hmi", 1, mud("hmi", hosts=("10.50.1.2", WEB))))
    made.take(item("mud/plc", 1, mud("plc", hosts=("10.50.0.2",))))
    made.take(item(f"device/{device_id(0)}", 2, member(0, profile="hmi", cell="hmi")))
    made.take(item(f"device/{device_id(1)}", 1, member(1, profile="plc", mode=NetworkMode.OBSERVE, cell="plc")))
    one, two = lan.devices
    assert lan.udp(one, two, "10.50.1.2")
    made.kernel.forget_connections([ip_address("10.50.0.2").packed])
    assert not lan.udp(two, one, "10.50.0.2", expected=False)  # its profile would let it; no conduit does
    assert not lan.udp(one, lan.internet, WEB, expected=False)  # neither to the world


def test_an_address_is_good_with_its_hardware_on_its_port_only(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    thief = lan.devices[1]
    thief.command(["ip", "addr", "add", "10.50.0.2/32", "dev", "lo"])
    assert not lan.udp(thief, lan.internet, WEB, of="10.50.0.2", expected=False)
    thief.command(["ip", "link", "set", "eth0", "address", mac(0)])  # its hardware too: the port is another
    lan.gateway.command(["ip", "neigh", "flush", "all"])
    assert not lan.udp(thief, lan.internet, WEB, of="10.50.0.2", expected=False)
    assert not lan.udp(thief, lan.internet, WEB, expected=False)
    made.take(item(f"device/{device_id(0)}", 2, member(0, port="")))  # any port that faces devices
    assert lan.udp(thief, lan.internet, WEB, of="10.50.0.2")


def _claims_by_arp(lan: Lan, hardware: str) -> None:
    """The first device says, unasked, that its address is at some hardware."""
    octets = bytes.fromhex(hardware.replace(":", ""))
    shown = json.loads(lan.gateway.command(["ip", "-j", "link", "show", "lan0"]))
    to = bytes.fromhex(shown[0]["address"].replace(":", ""))
    said = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    said += octets + ip_address("10.50.0.2").packed + to + ip_address("10.50.0.1").packed
    with lan.devices[0].run(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as raw:
        raw.bind(("eth0", 0x0806))
        raw.send(to + octets + b"\x08\x06" + said)


def test_nobody_takes_an_address_by_arp(lan: Lan, tmp_path: Path) -> None:
    stolen = "02:00:00:00:00:99"
    lan.gateway.set("net.ipv4.neigh.lan0.locktime", 0)

    def neighbour() -> str:
        return lan.gateway.command(["ip", "neigh", "show", "10.50.0.2"])

    def believed() -> bool:
        _claims_by_arp(lan, stolen)
        return stolen in neighbour()

    assert lan.udp(lan.gateway, lan.devices[0], "10.50.0.2")
    lan.until(believed)  # where there are no rules
    set_up(lan.kernel(), tmp_path)
    lan.gateway.command(["ip", "neigh", "flush", "all"])
    assert lan.udp(lan.gateway, lan.devices[0], "10.50.0.2")
    _claims_by_arp(lan, stolen)
    lan.until(lambda: "packets 1 " in lan.gateway.command(["nft", "list", "table", "arp", "bastide"]))
    assert stolen not in neighbour()


def test_an_item_must_be_signed_for_this_gateway_and_newer(lan: Lan, tmp_path: Path) -> None:
    kernel = lan.kernel()
    made = set_up(kernel, tmp_path)
    key, loaded = f"device/{device_id(0)}", len(kernel.loaded)
    made.take(item(key, 5, member(0)))
    stranger = Ed25519PrivateKey.generate()
    for data, code in (
        (item(key, 6, member(0), signer=stranger), "gateway:item:signature"),
        (item(key, 6, member(0), gateway=device_id(7)), "gateway:item:other-gateway"),
        (item(key, 4, member(0)), "plan:generation:stale"),
        (item(key, 5, member(0, Circle.GUEST)), "plan:generation:stale"),
        (item(key, 6, member(0)).replace(b"10.50.0.2", b"10.50.0.9"), "gateway:item:content"),
        (b"rubbish", "gateway:item:unreadable"),
    ):
        with pytest.raises(Refused) as refused:
            made.take(data)
        assert refused.value.reason == code
    assert len(kernel.loaded) == loaded + 1
    assert made.take(item(key, 5, member(0))).holds.startswith("profile, enforce")  # once more is fine


def test_an_address_of_another_device_is_refused_and_changes_nothing(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    with pytest.raises(Refused, match=r"10\.50\.0\.2 is claimed by"):
        made.take(item(f"device/{device_id(1)}", 1, MemberForm(["10.50.0.2"], mac(1))))
    assert lan.udp(lan.devices[0], lan.internet, WEB)
    made.take(item(f"device/{device_id(1)}", 1, member(1, Circle.GUEST)))


def test_after_a_restart_the_last_good_plan_is_in_force_and_a_torn_record_costs_itself_alone(
    lan: Lan, tmp_path: Path
) -> None:
    set_up(lan.kernel(), tmp_path)
    path = tmp_path / "plan.log"
    whole = path.read_bytes()
    lan.gateway.command(["nft", "flush", "ruleset"])  # as after a reboot
    path.write_bytes(whole + b"\0\0\1\0half a record")
    made = keeper(lan.kernel(), tmp_path)
    assert lan.udp(lan.devices[0], lan.internet, WEB)
    assert not lan.udp(lan.devices[0], lan.internet, OTHER, expected=False)
    made.take(item(f"device/{device_id(0)}", 2, member(0, Circle.NOTHING)))
    keeper(lan.kernel(), tmp_path)
    assert not lan.udp(lan.devices[0], lan.internet, WEB, expected=False)


def test_cut_off_anywhere_the_plan_on_disk_is_one_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "plan.log"
    file = ItemFile(path)
    records = [item("frame", generation, FRAME) for generation in range(1, 6)]
    for record in records:
        file.append(record)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = file.read()
        assert found == records[: len(found)]


class Failing(There):
    fails = False

    def load(self, text: str) -> None:
        if self.fails:
            raise Unavailable("no")
        super().load(text)


def test_what_the_kernel_refused_is_made_good_by_the_next_try(lan: Lan, tmp_path: Path) -> None:
    kernel = Failing(lan.gateway)
    made = set_up(kernel, tmp_path)
    kernel.fails = True
    quarantine = item(f"device/{device_id(0)}", 2, member(0, Circle.QUARANTINE))
    with pytest.raises(Unavailable):
        made.take(quarantine)
    kernel.fails = False
    made.take(quarantine)
    assert not lan.udp(lan.devices[0], lan.internet, WEB, expected=False)


@pytest.mark.parametrize(
    "by_hand",
    [
        "flush ruleset",
        "delete table inet bastide",
        "insert rule inet bastide judge accept",
        "flush chain inet bastide judge",
        "delete element inet bastide from4 { 10.50.0.2 }",
        "add element inet bastide free4 { 10.50.1.2 }",
        "flush set inet bastide generation; add element inet bastide generation { 99 }",
        "delete table arp bastide",
        "add element inet bastide remediation4 { 198.51.100.0/24 }",
    ],
)
def test_rules_changed_by_hand_are_found_and_repaired(lan: Lan, tmp_path: Path, by_hand: str) -> None:
    made = set_up(lan.kernel(), tmp_path)
    assert made.check() is None
    before = lan.gateway.command(["nft", "-s", "list", "ruleset"])
    lan.gateway.command(["nft", "-f", "-"], by_hand)
    found = made.check()
    assert found
    assert found.found
    assert lan.gateway.command(["nft", "-s", "list", "ruleset"]) == before
    assert made.check() is None


def test_a_port_that_is_there_is_found_by_its_index_and_one_that_goes_and_comes_back_is_followed(
    lan: Lan, tmp_path: Path
) -> None:
    kernel = lan.kernel()
    there = {"lan0"}
    made = Keeper(
        GATEWAY,
        PLAN_KEY,
        ("lan0",),
        kernel,
        ItemFile(tmp_path / "plan.log"),
        lambda: datetime.now(UTC),
        there=there.__contains__,
    )
    made.start()
    for one in (item("frame", 1, FRAME), item("mud/lamp", 1, mud("lamp", hosts=(WEB,)))):
        made.take(one)
    made.take(item(f"device/{device_id(0)}", 1, member(0)))

    def by_index() -> bool:
        return '"iif"' in json.dumps(kernel.listing("inet", "bastide"))

    assert by_index()
    with lan.tcp(lan.devices[0], lan.internet, WEB) as open_one:
        assert open_one.carries()
        assert open_one.answers()
        there.clear()  # it is taken away
        assert made.check() is None
        assert not by_index()
        assert open_one.carries()
        there.add("lan0")
        assert made.check() is None
        assert by_index()
        assert open_one.carries()
    assert not lan.udp(lan.devices[0], lan.internet, OTHER, expected=False)
    assert made.check() is None


def test_another_programs_table_is_no_drift(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    lan.gateway.command(["nft", "-f", "-"], "add table inet others")
    assert not made.check()
    assert made.check() is None


def test_drift_is_only_reported_where_so_set(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.repair = False
    lan.gateway.command(["nft", "-f", "-"], "delete table inet bastide")
    assert made.check()
    assert lan.udp(lan.devices[0], lan.internet, OTHER)  # as somebody wanted it


def test_any_row_of_changes_leads_to_what_is_compiled_from_nothing(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    made.take(item("mud/hub", 1, mud("hub", names=("hub.example",))))
    chance = random.Random(5)
    for step in range(2, 120):
        i = chance.randrange(8)
        key = f"device/{device_id(i)}"
        if chance.random() < 0.2:
            made.take(item(key, step, b""))
            continue
        form = member(
            i,
            chance.choice(list(Circle)),
            profile=chance.choice(["lamp", "hub", "missing"]),
            mode=chance.choice(list(NetworkMode)),
            cell=chance.choice(["", "plc"]),
            port=chance.choice(["lan0", "lan1", ""]),
        )
        made.take(item(key, step, form))
    holding: Holding = made._holding
    found = differences(made._snapshot, made._look(), expected(holding.ruleset(), holding.generation))
    assert not found, found.found
    with Lan(0) as other:
        fresh = There(other.gateway)
        fresh.load(holding.whole(datetime.now(UTC)))
        whole = snapshot(fresh.listing("inet", "bastide")).fixed
        assert snapshot(made.kernel.listing("inet", "bastide")).fixed == whole


def test_addresses_inside_are_never_what_a_name_outside_stands_for(lan: Lan, tmp_path: Path) -> None:
    made = set_up(lan.kernel(), tmp_path)
    for address in ("10.50.1.2", "127.0.0.1", "169.254.1.1", "::1", "fe80::1", "::ffff:10.0.0.1", "0.0.0.0"):
        with pytest.raises(BastideError) as refused:
            made.resolved("cloud.example", {ip_address(address): 60})
        assert refused.value.reason == "dns:answer:rebinding"
