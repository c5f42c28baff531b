"""Edimax's cloud protocol: XML whose octets are turned."""

import numpy as np
import pytest

from bastide.network.traffic.dissect import Context, Malformed, dissect
from bastide.network.traffic.kernel.recognise import recognise_udp
from bastide.network.traffic.words import Protocol

PLAIN = (
    b'<param>\n<code value="1010" />\n<model value="SP-1101W" />\n<id value="74DA384A7649" />\n'
    b'<devfwver value="1.09" />\n</param>'
)
TO_CLOUD = Context("udp", 58294, 8765, False)


def turned(by: int) -> bytes:
    """As the device sends it: the first octet raised, the others turned right."""
    return bytes([PLAIN[0] + by]) + bytes(((octet >> by) | (octet << (8 - by))) & 0xFF for octet in PLAIN[1:])


@pytest.mark.parametrize("by", range(8))
def test_every_turn_is_recognised_and_read(by: int) -> None:
    payload = turned(by)
    buffer = np.frombuffer(payload, np.uint8)
    assert recognise_udp(buffer, 0, len(payload), 58294, 8765) == Protocol.EDIMAX
    message = dissect("edimax-cloud", payload, TO_CLOUD)
    assert {(said.word, said.value) for said in message.said} == {("model", "SP-1101W"), ("firmware", "1.09")}
    assert "74DA384A7649" not in str(message.fields)


@pytest.mark.parametrize("payload", [b"", b"<", b"<html>" * 8, bytes(64), turned(3)[1:]])
def test_what_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        dissect("edimax-cloud", payload, TO_CLOUD)
