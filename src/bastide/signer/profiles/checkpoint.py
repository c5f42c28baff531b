"""Profile ``checkpoint``: tree heads of the ledger, as C2SP signed notes (c2sp.org/tlog-checkpoint).

It allows only an extension of the last head that it signed, shown by a consistency proof (RFC 6962 2.1.2); so a ledger that
was set back, or that tells two stories, gets no signature. The origin is the name of the key: one key, one log.
"""

from collections.abc import Mapping
from typing import Any

from bastide.core.error import Refused
from bastide.core.merkle import extends
from bastide.signer.authority import Authorities
from bastide.signer.profiles import Desk, Signed
from bastide.wire.checkpoint import head_text
from bastide.wire.note import write_note
from bastide.wire.signing import Checkpoint


def sign(ask: Checkpoint, desk: Desk) -> Signed:
    name = desk.authorities.note_key.name
    if ask.origin != name:
        raise Refused(
            f"The ledger calls itself {ask.origin[:80]!r}; this signer signs for {name!r}, the name in "
            "trust/checkpoint.vkey. Ledger and signer are of different installations.",
            code="signer:checkpoint:origin",
        )
    past = desk.past
    if not extends(past.tree_size, past.tree_root, ask.size, ask.root, ask.consistency):
        raise Refused(
            f"A tree head of size {ask.size} does not extend the last one signed, of size {past.tree_size} and root "
            f"{past.tree_root.hex()[:16]}…: the ledger was set back or changed. Restore the database's newest copy.",
            code="signer:checkpoint:not-an-extension",
        )
    return Signed(_note(ask, desk.authorities), {"size": ask.size, "root": ask.root.hex()})


def again(ask: Checkpoint, _what: Mapping[str, Any], authorities: Authorities) -> bytes:
    return _note(ask, authorities)


def _note(ask: Checkpoint, authorities: Authorities) -> bytes:
    text = head_text(ask.origin, ask.size, ask.root)
    return write_note(text, authorities.note_key, authorities.keys.checkpoint.sign).encode()
