"""A simulated device enrols and renews over EST, and keeps its identity in a folder."""

from pathlib import Path

from bastide.testing.fleet import wiring
from bastide.testing.fleet.identity import Identity, load_key, new_key, request_for, save
from bastide.testing.fleet.wiring import Claim, Endpoint

__all__ = ["Claim", "Endpoint", "enrol", "renew"]


def enrol(endpoint: Endpoint, claim: Claim, folder: Path, name: str) -> Identity:
    """Makes a key, has it certified under a claim and keeps both in a folder. ``Refused`` says why the server would not."""
    key = new_key()
    return save(folder, key, wiring.enrol(endpoint, request_for(key, name), claim=claim), endpoint.trust)


def renew(endpoint: Endpoint, identity: Identity, *, new: bool = True) -> Identity:
    """Re-enrols with the current certificate, by default under a new key (RFC 7030 4.2.2)."""
    key = new_key() if new else load_key(identity)
    chain = wiring.renew(endpoint, request_for(key, identity.device), (identity.certificate, identity.key))
    return save(identity.folder, key, chain, endpoint.trust)
