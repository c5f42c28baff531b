"""Made-up devices of a few kinds, as their tokens: small enough to review, shaped like the real ones."""

from bastide.network.traffic.identity.learn import Sample
from bastide.network.traffic.identity.observation import Observation
from bastide.network.traffic.identity.tokens import tokens_of

PLUG = (("hostname", "plug-a1"), ("model", "P-100"), ("vendor-class", "udhcp 1.2.3"), ("dhcp-parameters", "1,3,6"))
CAMERA = (
    ("hostname", "cam"),
    ("service", "_rtsp._tcp"),
    ("upnp", "urn:x:device:camera:1"),
    ("query", "up.cam.example"),
)
HUB = (("hostname", "hub"), ("user-agent", "hub/1.0"), ("query", "api.hub.example"), ("ja4", "t13d1516h2_a_b"))
SCALE = (("vendor-class", "scale"), ("query", "weigh.example"), ("dhcp-parameters", "1,28,6"))
KINDS = {
    "plug": (PLUG, "00:11:22"),
    "camera": (CAMERA, "00:33:44"),
    "hub": (HUB, "00:55:66"),
    "scale": (SCALE, "00:77:88"),
}


def device(kind: str, unit: int, *more: tuple[str, str]) -> Observation:
    """One unit of a kind in one capture: its own address, and now and then something that others do not say."""
    said, oui = KINDS[kind]
    noise = (("query", f"{unit % 4}.pool.ntp.example"),) if unit % 2 else ()
    return Observation(
        mac=f"{oui}:00:00:{unit:02x}",
        vendor=kind.title() + " Makers",
        said=frozenset((*said, *noise, *more)),
        asks=frozenset({("udp", 53)}),
        protocols=frozenset({"dns", "dhcp"}),
    )


def samples(each: int = 8, kinds: tuple[str, ...] = tuple(KINDS)) -> list[Sample]:
    return [Sample(tokens_of(device(kind, unit)), kind) for unit in range(each) for kind in kinds]
