"""What a TPM says is read as it was written, to the last octet; anything else is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Refused, Unreadable
from bastide.device.identity.tpm import (
    check_attestation_key,
    check_certified,
    make_credential,
    read_key,
    tpm_serial,
)
from tests.domain.device.tpms import AK, ATTEST, EK, NAME, OWN, SIGNATURE


def test_keys_have_the_names_that_the_tpm_gives_them() -> None:
    attestation, key, endorsement = read_key(AK, "key"), read_key(OWN, "key"), read_key(EK, "key")
    assert attestation.name == NAME
    assert key.stays
    assert isinstance(key.public, ec.EllipticCurvePublicKey)
    assert isinstance(endorsement.public, rsa.RSAPublicKey)
    assert endorsement.public.key_size == 2048
    assert len(tpm_serial(endorsement.public)) == 64


def test_the_attestation_key_certified_that_key_and_no_other() -> None:
    attestation, key, endorsement = read_key(AK, "key"), read_key(OWN, "key"), read_key(EK, "key")
    check_attestation_key(attestation)
    check_certified(key, ATTEST, SIGNATURE, attestation)
    for signer in (key, endorsement):
        with pytest.raises(Refused):
            check_attestation_key(signer)
        with pytest.raises(Refused):
            check_certified(key, ATTEST, SIGNATURE, signer)
    for other in (attestation, endorsement):
        with pytest.raises(Refused):
            check_certified(other, ATTEST, SIGNATURE, attestation)


@given(st.integers(0, len(ATTEST) * 8 - 1))
def test_no_bit_of_the_attestation_may_change(bit: int) -> None:
    changed = bytearray(ATTEST)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Refused):
        check_certified(read_key(OWN, "key"), bytes(changed), SIGNATURE, read_key(AK, "key"))


@given(st.integers(0, len(SIGNATURE) * 8 - 1))
def test_no_bit_of_the_signature_may_change(bit: int) -> None:
    changed = bytearray(SIGNATURE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Refused):
        check_certified(read_key(OWN, "key"), ATTEST, bytes(changed), read_key(AK, "key"))


@pytest.mark.parametrize("whole", [AK, OWN, EK], ids=["AK", "KEY", "EK"])
def test_a_key_that_is_cut_or_goes_on_is_none(whole: bytes) -> None:
    for end in range(len(whole)):
        with pytest.raises(Unreadable):
            read_key(whole[:end], "key")
    for more in (b"\0", whole):
        with pytest.raises(Unreadable):
            read_key(whole + more, "key")


def test_a_credential_is_for_one_name_and_never_twice_the_same() -> None:
    def entropy(count: int) -> bytes:
        return bytes(range(count))

    for endorsement in (read_key(EK, "key").public, ec.derive_private_key(5, ec.SECP256R1()).public_key()):
        one = make_credential(endorsement, NAME, bytes(32), entropy)
        assert one.startswith(bytes.fromhex("badcc0de00000001"))
        assert one[10:] != make_credential(endorsement, NAME[:-1] + b"\0", bytes(32), entropy)[10:]
