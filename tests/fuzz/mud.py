"""MUD files: whatever is accepted can be written, read again, and compiled."""

from datetime import UTC, datetime
from ipaddress import ip_address

from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.signature import judge
from bastide.network.profile.mud.write import write
from bastide.network.segmentation.compile import compile_site
from bastide.network.segmentation.proof.probes import derive
from bastide.network.segmentation.ruleset import as_json, as_text
from bastide.network.segmentation.site import Assignment, Site, SiteDevice
from tests.domain.network.mud.files import cloud, encoded, lamp
from tests.domain.network.mud.test_application import PART, with_part
from tests.domain.network.mud.test_signature import CONTENT, Maker
from tests.fuzz import Target

_DEVICE = SiteDevice("d", (ip_address("10.0.0.5"), ip_address("fd00::5")))


def _whole_way(data: bytes) -> object:
    file = read(data).file
    if read(write(file)).file != file:
        raise AssertionError("a written file is read as another one")
    derive(file)
    ruleset = compile_site([Assignment(file, (_DEVICE,))], Site()).ruleset
    return as_text(ruleset), as_json(ruleset)


_LOCAL = {"ietf-mud:mud": {"local-networks": [None]}, "ipv6": {"protocol": 58}, "icmp": {"type": 128}}
# A signature is judged, never refused: whatever the bytes are, there is an answer.
_NOW = datetime(2026, 6, 1, tzinfo=UTC)
_MAKER = Maker()


def _judged(data: bytes) -> object:
    if judge(CONTENT + b"x", data, [_MAKER.root], _NOW).holds:
        raise AssertionError("a signature holds for what was never signed")
    return judge(CONTENT, data, [_MAKER.root], _NOW)


TARGETS = [
    Target("mud:signature", _judged, (_MAKER.sign(),), allowed=()),
    Target(
        "mud:file",
        _whole_way,
        (encoded(lamp(from4=[cloud()], from6=[_LOCAL], to6=[_LOCAL])), with_part(PART), b'{"ietf-mud:mud":{}}'),
    ),
]
