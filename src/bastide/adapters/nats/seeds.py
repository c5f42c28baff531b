"""The platform's own keys to the broker: one nkey per part, made once, each with its own rights (see ``config``).

Seeds lie in ``nats/<part>.seed`` with mode 0600; the server's configuration holds only the public halves.
"""

import os
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.core.error import BastideError
from bastide.wire.nkeys import Kind, decode_seed, encode_public, encode_seed


class Part(StrEnum):
    """Who connects. ``system`` kicks and counts, ``controller`` and ``ingest`` work in the platform's account,
    ``steward`` and ``uplink`` in the devices' account: one makes its streams, the other takes what devices say."""

    SYSTEM = "system"
    CONTROLLER = "controller"
    INGEST = "ingest"
    STEWARD = "steward"
    UPLINK = "uplink"


class UnusableSeed(BastideError):
    code = "nats:seed:unusable"


def make_seeds(folder: Path) -> dict[Part, str]:
    """The public keys of all parts; makes the seeds that are missing."""
    return {part: public_key(_load_or_make(folder / f"{part}.seed")) for part in Part}


def load_seed(folder: Path, part: Part) -> Ed25519PrivateKey:
    """The key of one part."""
    return _read(folder / f"{part}.seed")


def public_key(key: Ed25519PrivateKey) -> str:
    return encode_public(Kind.USER, key.public_key().public_bytes_raw())


def _load_or_make(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        aside = path.with_suffix(".new")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(encode_seed(Kind.USER, key.private_bytes_raw()) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    return _read(path)


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        kind, seed = decode_seed(path.read_text().strip())
    except (OSError, BastideError) as error:
        raise UnusableSeed(
            f"The broker key {path} cannot be read: {error}. Restore it, or remove it and restart Bastide for a new one."
        ) from error
    if kind is not Kind.USER:
        raise UnusableSeed(f"The broker key {path} is not a user's; remove it and restart Bastide for a new one.")
    return Ed25519PrivateKey.from_private_bytes(seed)
