"""Names on the gateway, with a real resolver upstream (dnsmasq) and packets that say what is open when the answer is there."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.adapters.gateway.journal import ItemFile
from bastide.network.segmentation.rules import name_set
from bastide.wire.gateway import FrameForm
from bastide.wire.nkeys import Kind, encode_seed
from tests.gateway.lan import HOSTS, Lan
from tests.gateway.plans import GATEWAY, PLAN_KEY, device_id, item, member, mud
from tests.gateway.stand import inside

UPSTREAM, CLOUD, OTHER = HOSTS[1], HOSTS[0], HOSTS[2]
MANY = [f"198.18.0.{number}" for number in range(1, 31)]
RECORDS = (
    f"--host-record=cloud.example,{CLOUD},300",
    "--cname=www.example,edge.example,300",
    f"--host-record=edge.example,{CLOUD},300",
    f"--host-record=brief.example,{CLOUD},1",
    "--host-record=evil.example,10.50.1.2,300",
    f"--host-record=secret.example,{OTHER},300",
    *(f"--host-record=many.example,{address},300" for address in MANY),
)
NAMES = ("cloud.example", "www.example", "brief.example", "evil.example", "many.example")
REFUSED = 5


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    if shutil.which("dnsmasq") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("needs dnsmasq (Debian: dnsmasq-base)")
        pytest.skip("needs dnsmasq (Debian: dnsmasq-base)")
    folder = tmp_path_factory.mktemp("dns")
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with Lan(2) as made, open(folder / "log", "wb") as log:
            upstream = [
                "dnsmasq",
                "-k",
                "--no-resolv",
                "--no-hosts",
                "--conf-file=/dev/null",
                "--user=root",
                "--pid-file=",
            ]
            words = [*inside(made.internet), *upstream, f"--listen-address={UPSTREAM}", "--bind-interfaces", *RECORDS]
            processes.append(subprocess.Popen(words, stdout=log, stderr=log))
            words = [*inside(made.gateway), sys.executable, "-m", "bastide.gateway"]
            processes.append(subprocess.Popen(words, env=joined(folder), stdout=log, stderr=log))
            until_it_answers(made, folder / "log")
            yield made
    finally:
        for process in processes:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            process.kill()
            process.wait()


def joined(folder: Path) -> dict[str, str]:
    """A gateway that joined and holds a plan; its controller is nowhere."""
    rules, identity = folder / "rules", folder / "identity"
    rules.mkdir()
    identity.mkdir()
    for place in (rules, identity):
        (place / "gateway.id").write_text(GATEWAY)
    (rules / "plan.pub").write_bytes(PLAN_KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    seed = Ed25519PrivateKey.generate().private_bytes_raw()
    (identity / "broker.seed").write_text(encode_seed(Kind.USER, seed))
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ed25519",
        "-nodes",
        "-subj",
        "/CN=root",
        "-keyout",
        "/dev/null",
        "-out",
    ]
    subprocess.run([*made, str(identity / "trust.pem")], check=True, capture_output=True)
    plan = ItemFile(rules / "plan.log")
    plan.append(item("frame", 1, FrameForm(controllers={"urn:ietf:params:mud:dns": ["10.50.0.1", "10.50.1.1"]})))
    plan.append(item("mud/lamp", 1, mud("lamp", names=NAMES)))
    plan.append(item("mud/hub", 1, mud("hub", names=("cloud.example",))))
    plan.append(item(f"device/{device_id(0)}", 1, member(0)))
    plan.append(item(f"device/{device_id(1)}", 1, member(1, profile="hub")))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BASTIDE_")}
    return inherited | {
        "BASTIDE_GATEWAY_DATA": str(folder),
        "BASTIDE_GATEWAY_PORTS": "lan0,lan1",
        "BASTIDE_GATEWAY_DNS_LISTEN": "10.50.0.1,10.50.1.1",
        "BASTIDE_GATEWAY_DNS_UPSTREAM": UPSTREAM,
        "BASTIDE_GATEWAY_DNS_FLOOR_SECONDS": "1",
    }


def until_it_answers(lan: Lan, log: Path) -> None:
    end = time.monotonic() + 20
    while True:
        try:
            ask(lan, 0, "secret.example")
        except OSError:
            assert time.monotonic() < end, log.read_text()
        else:
            return


def ask(lan: Lan, device: int, name: str, *, tcp: bool = False) -> tuple[int, list[str]]:
    """The code and the addresses that a device is answered."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with lan.devices[device].run(lambda: socket.socket(socket.AF_INET, kind)) as own:
        own.settimeout(3 if device else 1)
        own.connect((f"10.50.{device}.1", 53))
        own.sendall(len(query).to_bytes(2, "big") + query if tcp else query)
        data = own.recv(65535)
        if tcp:
            size = int.from_bytes(data[:2], "big")
            data = data[2:]
            while len(data) < size:
                data += own.recv(65535)
    assert data[:2] == query[:2]
    if data[2] & 2:
        return ask(lan, device, name, tcp=True)
    found, at = [], len(query)
    for _ in range(int.from_bytes(data[6:8], "big")):
        while data[at] and data[at] < 0xC0:
            at += data[at] + 1
        at += 1 if not data[at] else 2
        type_, _, _, size = struct.unpack_from("!HHIH", data, at)
        at += 10
        if type_ == 1:
            found.append(str(ip_address(data[at : at + 4])))
        at += size
    return data[3] & 15, found


def opened(lan: Lan, name: str) -> str:
    return lan.gateway.command(["nft", "list", "set", "inet", "bastide", name_set(name, 4)])


def test_an_address_is_open_when_its_answer_is_there_and_not_before(lan: Lan) -> None:
    assert not lan.udp(lan.devices[0], lan.internet, CLOUD, expected=False)
    assert ask(lan, 0, "cloud.example") == (0, [CLOUD])
    assert lan.udp(lan.devices[0], lan.internet, CLOUD)


def test_a_name_of_two_profiles_is_open_for_both_whoever_asked(lan: Lan) -> None:
    assert ask(lan, 0, "cloud.example")[1] == [CLOUD]
    assert ask(lan, 1, "cloud.example")[1] == [CLOUD]
    assert lan.udp(lan.devices[0], lan.internet, CLOUD)
    assert lan.udp(lan.devices[1], lan.internet, CLOUD)


def test_an_answer_from_a_cache_opens_too(lan: Lan) -> None:
    ask(lan, 0, "cloud.example")
    lan.gateway.command(["nft", "flush", "set", "inet", "bastide", name_set("cloud.example", 4)])
    assert ask(lan, 0, "cloud.example")[1] == [CLOUD]
    assert CLOUD in opened(lan, "cloud.example")


def test_an_alias_opens_what_it_leads_to(lan: Lan) -> None:
    assert ask(lan, 0, "www.example") == (0, [CLOUD])
    assert CLOUD in opened(lan, "www.example")


def test_an_open_connection_outlives_the_time_of_its_name(lan: Lan) -> None:
    lan.gateway.command(["nft", "flush", "set", "inet", "bastide", name_set("cloud.example", 4)])
    lan.gateway.command(["nft", "flush", "set", "inet", "bastide", name_set("www.example", 4)])
    assert ask(lan, 0, "brief.example")[1] == [CLOUD]
    with lan.tcp(lan.devices[0], lan.internet, CLOUD) as connection:
        lan.until(lambda: CLOUD not in opened(lan, "brief.example"))
        assert connection.carries()
        assert not lan.udp(lan.devices[0], lan.internet, CLOUD, expected=False)


def test_an_answer_with_thirty_addresses_opens_each(lan: Lan) -> None:
    code, found = ask(lan, 0, "many.example")
    assert code == 0
    assert sorted(found) == sorted(MANY)
    listed = opened(lan, "many.example")
    assert all(address in listed for address in MANY)


def test_a_name_that_leads_inside_is_refused(lan: Lan) -> None:
    assert ask(lan, 0, "evil.example") == (REFUSED, [])
    assert "10.50.1.2" not in opened(lan, "evil.example")


def test_a_name_outside_the_profile_is_refused(lan: Lan) -> None:
    assert ask(lan, 0, "secret.example") == (REFUSED, [])
    assert ask(lan, 1, "www.example") == (REFUSED, [])
    assert ask(lan, 0, "nobody.cloud.example") == (REFUSED, [])
