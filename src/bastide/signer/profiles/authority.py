"""Profile ``authority``: what a ceremony signed is installed (device/identity/hierarchy.py): the next issuing CA, the next root.

Nothing is signed here. It allows only what the root in use signed, over the key that waits for it: whoever has not the
root's shares installs nothing. The journal keeps the certificates themselves, so they are there whenever its keys are.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from bastide.device.identity.hierarchy import key_id
from bastide.signer.authority import Authorities
from bastide.signer.profiles import Desk, Signed
from bastide.wire.signing import Authority


def sign(ask: Authority, desk: Desk) -> Signed:
    grown = desk.authorities.with_next(ask.certificates)
    installed = grown.hierarchy.issuing[-1]
    kept = [b64encode(der).decode() for der in ask.certificates]
    serial = f"{installed.serial_number:x}"
    return Signed(key_id(installed).encode(), {"serial": serial, "issuer": key_id(installed), "certificates": kept})


def again(_ask: Authority, what: Mapping[str, Any], _authorities: Authorities) -> bytes:
    return str(what["issuer"]).encode()
