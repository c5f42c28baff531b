"""What the signer remembers, folded from its journal: answered requests, the last tree head, the last CRL's number, ceremonies.

Requests are remembered in two windows, so that a reconnect storm does not push out certificates. Both are bounded: past
``WINDOW`` requests of its kind, an id is forgotten, and the state that the flows keep is what then stops a second issue.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from bastide.signer.journal import Place
from bastide.signer.profiles import Past
from bastide.wire.journal import Entry
from bastide.wire.signing import Profile

# About 200 bytes an entry; both windows together stay under 7 MB.
WINDOW = 16_384
_CERTIFICATES = frozenset({Profile.DEVICE, Profile.SERVER, Profile.OCSP})


class Remembrance:
    """Implements signer.journal.Memory."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._certificates: dict[bytes, bytes] = {}
        self._others: dict[bytes, bytes] = {}
        self._keys: Mapping[str, Any] = {}
        self.past = Past()

    def remember(self, entry: Entry, place: Place) -> None:
        match entry.kind:
            case "signed":
                window = self._certificates if entry.profile in _CERTIFICATES else self._others
                window[_short(entry.request)] = _packed(bytes.fromhex(entry.digest), place)
                if len(window) > self._window:
                    window.pop(next(iter(window)))
                if entry.profile == Profile.CHECKPOINT:
                    root = bytes.fromhex(entry.what["root"])
                    self.past = replace(self.past, tree_size=entry.what["size"], tree_root=root)
                elif entry.profile == Profile.CRL:
                    self.past = replace(self.past, crl_number=entry.what["number"])
                elif entry.profile == Profile.AUTHORITY:
                    installed = tuple(entry.what["certificates"])
                    self.past = replace(self.past, ceremonies=(*self.past.ceremonies, installed))
            case "opened":
                self._keys = entry.what["keys"]
            case "segment":
                self._keys = entry.what["keys"]
                root = bytes.fromhex(entry.what["tree_root"])
                ceremonies = tuple(tuple(one) for one in entry.what.get("ceremonies", ()))
                self.past = Past(entry.what["tree_size"], root, entry.what["crl_number"], ceremonies)
            case _:
                pass

    def carried(self) -> Mapping[str, Any]:
        return {
            "keys": self._keys,
            "tree_size": self.past.tree_size,
            "tree_root": self.past.tree_root.hex(),
            "crl_number": self.past.crl_number,
            "ceremonies": self.past.ceremonies,
        }

    def answered(self, request_id: str) -> tuple[bytes, Place] | None:
        """The first half of the digest that was asked under this id, and where the answer is noted."""
        key = _short(request_id)
        packed = self._certificates.get(key) or self._others.get(key)
        if packed is None:
            return None
        return packed[:16], (int.from_bytes(packed[16:20], "big"), int.from_bytes(packed[20:], "big"))


def _short(request_id: str) -> bytes:
    return sha256(request_id.encode()).digest()[:16]


def _packed(digest: bytes, place: Place) -> bytes:
    return digest[:16] + place[0].to_bytes(4, "big") + place[1].to_bytes(4, "big")
