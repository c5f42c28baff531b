"""Signed notes and checkpoints: the specification's own note, and what must be refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import BastideError
from bastide.wire.checkpoint import head_text, open_checkpoint, peek
from bastide.wire.note import MalformedNote, UntrustedNote, VerifierKey, open_note, parse_note, write_note

# The public test key and note of golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SAYS = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey("bastide/fleet", PRIVATE.public_key().public_bytes_raw())
HEAD = head_text("bastide/fleet", 12, bytes(range(32)))
NOTE = write_note(HEAD, KEY, PRIVATE.sign)


def test_the_go_teams_test_note_opens_with_their_key() -> None:
    key = VerifierKey.parse(PETER)
    assert (key.name, key.id.hex(), str(key)) == ("PeterNeumann", "c74f20a3", PETER)
    assert open_note(PETER_SAYS, key).startswith("If you think cryptography")


def test_a_checkpoint_is_three_lines_that_come_back_as_they_were() -> None:
    found = open_checkpoint(NOTE, KEY)
    assert (found.origin, found.size, found.root, found.note) == ("bastide/fleet", 12, bytes(range(32)), NOTE)
    assert peek(NOTE) == found


def test_a_witness_may_add_its_signature_and_one_is_enough_that_is_known() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    witness = VerifierKey("witness.example", other.public_key().public_bytes_raw())
    both = NOTE + write_note(HEAD, witness, other.sign).rpartition("\n\n")[2]
    assert open_checkpoint(both, KEY).size == open_checkpoint(both, witness).size == 12


def test_a_note_of_another_key_is_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    with pytest.raises(UntrustedNote):
        open_note(NOTE, VerifierKey("bastide/fleet", other))
    with pytest.raises(UntrustedNote):
        open_note(NOTE, VerifierKey("bastide/other", KEY.public))


@pytest.mark.parametrize("position", range(len(NOTE.encode())))
def test_no_byte_of_a_checkpoint_can_be_changed(position: int) -> None:
    raw = bytearray(NOTE.encode())
    for flip in (0x01, 0x20, 0x80):
        raw[position] ^= flip
        try:
            changed = raw.decode()
        except UnicodeDecodeError:
            changed = None
        if changed is not None:
            with pytest.raises(BastideError):
                open_checkpoint(changed, KEY)
        raw[position] ^= flip


@pytest.mark.parametrize(
    "text",
    [
        "o\n012\n" + HEAD.split("\n")[2] + "\n",
        "o\n-1\nAAAA\n",
        "o\n1\nAAAA\n",
        "o\n\n\n",
        "o\n²\nAAAA\n",
        "o\n1\n",
        "\n",
    ],
)
def test_a_signed_text_that_is_no_tree_head_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        open_checkpoint(write_note(text, KEY, PRIVATE.sign), KEY)


@pytest.mark.parametrize(
    "vkey", ["", "a+b", PETER.replace("c74f", "c74e"), PETER[:-4], PETER + "\n\n", "a b+00000000+AQ=="]
)
def test_a_verifier_key_is_read_strictly(vkey: str) -> None:
    with pytest.raises(MalformedNote):
        VerifierKey.parse(vkey)


@given(st.text() | st.text().map(lambda text: NOTE + text) | st.text().map(lambda text: text + NOTE))
def test_any_text_is_a_note_or_refused(text: str) -> None:
    try:
        parse_note(text)
        open_note(text, KEY)
    except BastideError:
        pass
