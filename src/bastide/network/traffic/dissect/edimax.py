"""What Edimax devices tell their cloud over UDP: a flat XML list of parameters, each octet turned by a few bits.

Seen in captures, not documented by the maker: the first octet is ``<`` plus n (0 to 7), every later one is turned right by n
bits. It hides nothing, and names model and firmware.
"""

import re

from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, text

_PARAMETER = re.compile(rb'<([a-z]{1,24}) value="([^"<]{0,128})" ?/>')
_TURNED = tuple(bytes(((octet << turn) | (octet >> (8 - turn))) & 0xFF for octet in range(256)) for turn in range(8))
MAX_PARAMETERS = 48
_WORDS = {"model": "model", "type": "product", "devfwver": "firmware"}
_KEPT = frozenset(("code", "model", "type", "devfwver", "productid", "encryption"))
"""What becomes a field; names, addresses and ids of the unit and its owner do not."""


def dissect(payload: bytes, context: Context) -> Message:
    turn = payload[0] - 0x3C if payload else -1
    if not 0 <= turn <= 7:
        raise Malformed("The first octet of an Edimax message is '<' plus 0 to 7.")
    plain = b"<" + payload[1:].translate(_TURNED[turn])
    if not plain.startswith(b"<param>"):
        raise Malformed("An Edimax message begins with <param>.")
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(plain):
        if len(found) >= MAX_PARAMETERS:
            break
        found.setdefault(match[1].decode("ascii"), text(match[2]))
    fields = {name: value for name, value in found.items() if name in _KEPT}
    said: list[Said] = []
    if found.get("model"):
        said = [Said(word, found[name]) for name, word in _WORDS.items() if found.get(name)]
        maker = found.get("productid", "").split("#")[0]
        if maker:
            said.append(Said("manufacturer", maker))
    return Message("edimax-cloud", fields, tuple(said))


DISSECTOR = Dissector("edimax-cloud", ("edimax-cloud",), dissect)
