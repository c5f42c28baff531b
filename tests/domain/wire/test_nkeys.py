"""NATS keys and JWTs, against values of the reference implementation (nats-io/nkeys) and against themselves."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.wire.nkeys import (
    Kind,
    decode_public,
    decode_seed,
    encode_public,
    encode_seed,
    sign_jwt,
    verify_jwt,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()


@pytest.mark.parametrize(("seed", "public"), [
    # From the documentation of nats-server: a user's seed and its public key.
    ("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"),
])  # fmt: skip
def test_seed_and_public_key_are_those_of_the_reference(seed: str, public: str) -> None:
    kind, secret = decode_seed(seed)
    made = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    assert (kind, encode_public(kind, made)) == (Kind.USER, public)


@given(st.sampled_from(Kind), st.binary(min_size=32, max_size=32))
def test_keys_are_read_as_written_and_of_one_kind(kind: Kind, key: bytes) -> None:
    text = encode_public(kind, key)
    assert decode_public(text, kind) == key
    assert text[0] == {Kind.ACCOUNT: "A", Kind.SERVER: "N", Kind.OPERATOR: "O", Kind.USER: "U"}[kind]
    assert decode_seed(encode_seed(kind, key)) == (kind, key)
    for other in Kind:
        if other is not kind:
            with pytest.raises(Unreadable):
                decode_public(text, other)


@given(st.integers(0, 55), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_mistyped_key_is_found(at: int, letter: str) -> None:
    text = encode_public(Kind.USER, PUBLIC)
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(Unreadable):
            decode_public(changed, Kind.USER)


@given(st.text(max_size=80))
def test_noise_is_no_key(noise: str) -> None:
    with pytest.raises(Unreadable):
        decode_public(noise, Kind.ACCOUNT)
    with pytest.raises(Unreadable):
        decode_seed(noise)


def test_a_jwt_holds_under_its_key_and_no_other() -> None:
    token = sign_jwt({"name": "é", "nats": {"type": "user"}}, KEY)
    assert verify_jwt(token, PUBLIC) == {"name": "é", "nats": {"type": "user"}}
    with pytest.raises(Unreadable):
        verify_jwt(token, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    header, body, signature = token.split(".")
    for broken in (f"{header}.{body}", f"{header}.{body}A.{signature}", "..", "", f"{header}.{body}.{signature}x=="):
        with pytest.raises(Unreadable):
            verify_jwt(broken, PUBLIC)
