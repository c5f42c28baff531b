"""What a learned profile stops of a real Mirai infection, beside a rule by ports only and one by destinations only.

    .venv/bin/python bench/mirai.py [--flows FILE]

CTU-IoT-Malware-Capture-34-1 of IoT-23 (Stratosphere laboratory): Zeek's conn.log with labels. The profile is learned from what
came before the first malicious flow, and judged on what came after; flows to the command-and-control host that are labelled
benign (they fetch the malware, or try to) are counted apart. Beside it, profiles learned from the devices of IoT SENTINEL, which
were never infected, judged on the same malicious flows. Each share is by flow and by destination (address, transport, port).
"""

import argparse
import gzip
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.network.profile.learn import learn, profile
from bastide.network.profile.mud.words import DNS_CONTROLLER, GATEWAY_CONTROLLER, Kind, MUDFile, Peers
from bastide.network.segmentation.simulate import judge
from bastide.network.segmentation.site import Site
from bastide.network.traffic.conversations import Talk
from bench._machine import facts

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
FLOWS = DATA / "flows" / "iot23-34-1.first-half.conn.log.labeled.gz"
DEVICE = "192.168.1.195"
ROUTER = "192.168.1.1"
MAC = "02:00:00:00:00:01"


@dataclass(frozen=True)
class Flow:
    """One line of the log: what was said, by whom it was opened, how it is labelled."""

    at: float
    talk: Talk
    malicious: bool
    kind: str

    @property
    def destination(self) -> tuple[str, str, int, bool]:
        return self.talk.peer, self.talk.transport, self.talk.port, self.talk.opened_by_device

    @property
    def answered(self) -> bool:
        return self.talk.packets_received > 0 and self.talk.packets_sent > 0


def read(path: Path) -> Iterator[Flow]:
    """The flows that the device is one end of, oldest first."""
    found = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            fields = line.rstrip("\n").split("\t")
            *_, label, detail = fields[-1].split()
            at, caller, called = float(fields[0]), fields[2], fields[4]
            if DEVICE not in (caller, called):
                continue
            opened = caller == DEVICE
            sent, received = (int(fields[16]), int(fields[18])) if opened else (int(fields[18]), int(fields[16]))
            talk = Talk(
                mac=MAC,
                peer=called if opened else caller,
                peer_name="",
                transport=fields[6],
                port=int(fields[5]),
                protocol="dhcp" if fields[5] == "67" else fields[7] if fields[7] != "-" else fields[6],
                opened_by_device=opened,
                flows=1,
                packets_sent=sent,
                packets_received=received,
                bytes_sent=0,
                bytes_received=0,
                first=int(at * 1e9),
                last=int(at * 1e9),
            )
            found.append(Flow(at, talk, label == "Malicious", detail))
    yield from sorted(found, key=lambda one: one.at)


def made(heard: Iterable[Talk]) -> MUDFile:
    return profile(
        learn(heard), url="https://bench.invalid/x.json", at=datetime(2026, 1, 1, tzinfo=UTC), systeminfo="bench"
    )


SITE = Site(
    peers={
        Peers(Kind.CONTROLLER, DNS_CONTROLLER): (ip_address(ROUTER),),
        Peers(Kind.CONTROLLER, GATEWAY_CONTROLLER): (ip_address(ROUTER), ip_address("255.255.255.255")),
    }
)
Rule = Callable[[Flow], bool]


def by_profile(file: MUDFile) -> Rule:
    return lambda flow: judge(flow.talk, file, SITE, (ip_address(DEVICE),)).allowed


def by_ports(taught: list[Flow]) -> Rule:
    known = {(flow.talk.transport, flow.talk.port, flow.talk.opened_by_device) for flow in taught}
    return lambda flow: (flow.talk.transport, flow.talk.port, flow.talk.opened_by_device) in known


def by_destinations(taught: list[Flow]) -> Rule:
    known = {flow.talk.peer for flow in taught} | {ROUTER}
    return lambda flow: flow.talk.peer in known


def share(flows: list[Flow], kept: Rule, *, cut: bool) -> str:
    """Of flows and of destinations, how many are cut (or stopped)."""
    if not flows:
        return "none there"
    stopped = [flow for flow in flows if not kept(flow)]
    places, gone = {flow.destination for flow in flows}, {flow.destination for flow in stopped}
    word = "cut" if cut else "stopped"
    return (
        f"{len(stopped):,} of {len(flows):,} flows {word} ({len(stopped) / len(flows):.4f}), "
        f"{len(gone)} of {len(places)} destinations"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--flows", type=Path, default=FLOWS)
    given = options.parse_args()
    if not given.flows.exists():
        sys.exit(f"{given.flows} is not there; name IoT-23's labelled conn.log with --flows")
    print(facts())
    flows = list(read(given.flows))
    begins = next(at for at, flow in enumerate(flows) if flow.malicious)
    taught, judged = flows[:begins], flows[begins:]
    command = {flow.talk.peer for flow in flows if flow.kind == "C&C"}
    malicious = [flow for flow in judged if flow.malicious]
    benign = [flow for flow in judged if not flow.malicious and flow.talk.peer not in command]
    apart = [flow for flow in judged if not flow.malicious and flow.talk.peer in command]
    print(f"input: {given.flows.name}, {len(flows):,} flows of the device")
    print(
        f"learned from the {len(taught)} before the first malicious one; judged on {len(malicious):,} malicious and "
        f"{len(benign):,} benign ones after it; {len(apart)} benign ones to the command-and-control host apart"
    )
    lesson = learn(flow.talk for flow in taught)
    print("learned: " + "; ".join(str(one) for one in lesson.kept))
    print("left out: " + ("; ".join(f"{one} ({one.because})" for one in lesson.left_out) or "nothing"))
    own = made(flow.talk for flow in taught)
    answered = [flow for flow in benign if flow.answered]
    for name, rule in (
        ("the learned profile", by_profile(own)),
        ("ports only", by_ports(taught)),
        ("destinations only", by_destinations(taught)),
    ):
        print(f"\n{name}")
        print(f"  malicious: {share(malicious, rule, cut=False)}")
        print(f"  benign: {share(benign, rule, cut=True)}")
        print(f"  benign that anybody answered: {share(answered, rule, cut=True)}")
        print(f"  benign to the command-and-control host: {share(apart, rule, cut=True)}")
    cut = sorted({flow.destination for flow in benign if not by_profile(own)(flow)})
    print(f"\nbenign destinations that the learned profile cuts: {cut}")
    _others(malicious)


def _others(malicious: list[Flow]) -> None:
    """Profiles of devices that were never infected, on the same malicious flows."""
    from bastide.adapters.capture.files import CaptureFile, open_capture
    from bastide.adapters.oui.table import offline_vendors
    from bastide.flows.scan_captures import scan_captures
    from bastide.network.traffic.conversations import Told
    from bastide.network.traffic.devices import devices_of
    from bastide.network.traffic.survey import Survey
    from bench._sentinel import folder

    if not folder().is_dir():
        print("IoT SENTINEL is not there; profiles of other devices are left out")
        return
    shares, vendor = [], offline_vendors()
    for place in sorted(folder().iterdir()):
        address = place / "_iotdevice-mac.txt"
        if not address.is_file():
            continue
        own, heard = address.read_text().strip().lower(), []
        for path in sorted(place.glob("*.pcap")):
            survey = Survey()
            with CaptureFile(path.name, open_capture(path)) as capture:
                scan_captures([capture], survey)
            talks, _ = Told().since(survey, devices_of(survey, vendor))
            heard += [talk for talk in talks if talk.mac == own]
        rule = by_profile(made(heard))
        shares.append((sum(not rule(flow) for flow in malicious) / len(malicious), place.name))
    least = min(shares)
    print(
        f"\nprofiles learned from {len(shares)} devices of IoT SENTINEL: malicious flows stopped, mean "
        f"{sum(one for one, _ in shares) / len(shares):.4f}, least {least[0]:.4f} ({least[1]})"
    )


if __name__ == "__main__":
    main()
