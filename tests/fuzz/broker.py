"""The broker's parsers: what a device, a log or another process hands over."""

from bastide.core.ids import DeviceId
from bastide.core.profile import FieldType, PayloadField
from bastide.network.broker.admission import ANY_FIELD, ChannelRule
from bastide.network.broker.connect import presented, read_request
from bastide.network.broker.topics import channel_of, subject_of, topic_of, uplink_of
from bastide.network.broker.violations import read_line
from bastide.wire.batch import decode_batch, encode_batch
from bastide.wire.desired import decode_desired
from bastide.wire.evidence import decode_evidence
from tests.fuzz import Target

DEVICE = DeviceId("d-" + "a" * 20)
_STRICT = ChannelRule(
    (PayloadField("t", FieldType.NUMBER, "x", minimum=-40), PayloadField("m", FieldType.TEXT, "x")), 512
)
_ANY = ChannelRule((PayloadField(ANY_FIELD, FieldType.TEXT, "x"),), 4096)


def _topic(data: bytes) -> object:
    text = data.decode("utf-8", "replace")
    uplink_of(text)
    topic_of(text)
    return channel_of(text, DEVICE), subject_of(text)


TARGETS = [
    Target(
        "broker:payload", lambda data: (_STRICT.admit(data), _ANY.admit(data)), (b'{"t":21.5,"m":"eco"}', b"{}", b"[1]")
    ),
    Target("broker:topic", _topic, (b"devices/" + DEVICE.encode() + b"/telemetry", b"a/+/#", b"//a.b/")),
    Target(
        "broker:log-line",
        read_line,
        (b'[7] 2026/11/23 02:44:22.509383 [ERR] 127.0.0.1:4 - mid:31 - "x" - Publish Violation - Subject "up.d.t"',),
    ),
    Target(
        "broker:callout",
        lambda data: presented(read_request(data).certificate),
        (b"e30.eyJuYXRzIjp7InNlcnZlcl9pZCI6eyJpZCI6Ik4ifSwidXNlcl9ua2V5IjoiVSIsImNsaWVudF9pbmZvIjp7ImlkIjoxfX19.c2ln",),
    ),
    Target("wire:evidence", decode_evidence, (b'[1,{"id":"e-1","kind":"a.b"}]',)),
    Target("wire:desired", decode_desired, (b'[1,{"device":"d-a","generation":1},"c",{"name":"p"}]',)),
    Target("wire:batch", decode_batch, (encode_batch([(DEVICE, "telemetry", 1, {"t": 21.5, "m": "eco"})]),)),
]
