"""The gateway's parsers: items, frames between its processes, DNS from devices and upstream, logged packets."""

from bastide.network.segmentation.explain import flow_of
from bastide.network.segmentation.names import read_answer, read_question
from bastide.wire.gateway import AllowanceForm, FrameForm, MemberForm, decode_content, open_item
from bastide.wire.keeper import Request, Word, frame, read_request
from bastide.wire.keeper import read_answer as read_keeper_answer
from tests.domain.network.segmentation.test_names import answer, query
from tests.fuzz import Target
from tests.gateway.plans import GATEWAY, PLAN_KEY, item

_ASKED = read_question(query("cloud.example"))

TARGETS = [
    Target("gateway:item", lambda data: open_item(data, GATEWAY, PLAN_KEY), (item("frame", 1, FrameForm()),)),
    Target("gateway:member", lambda data: decode_content(data, MemberForm), (b'{"addresses":["10.0.0.1"]}',)),
    Target("gateway:frame", lambda data: decode_content(data, FrameForm), (b'{"remediation":["10.0.0.0/8"]}',)),
    Target("gateway:allowance", lambda data: decode_content(data, AllowanceForm), (b'{"source":"10.0.0.1"}',)),
    Target("gateway:request", read_request, (frame(Request(1, Word.NAMES, name="10.0.0.1"))[4:],)),
    Target("gateway:answer", read_keeper_answer, (b"\x94\x01\xa0\xa0\xc0",)),
    Target("dns:question", read_question, (query("cloud.example"),)),
    Target("dns:answer", lambda data: read_answer(data, _ASKED), (answer("cloud.example", [("10.0.0.1", 60)]),)),
    Target(
        "gateway:logged", flow_of, (bytes.fromhex("4500001c0000000040110000" + "0a000001" * 2 + "0035003500080000"),)
    ),
]
