"""Manufacturer certificates: what IEEE 802.1AR calls an IDevID, by which a new device says who made it and which one it is.

- 8.6: the subject has one serialNumber, unique for its maker. TPM makers put a hardwareModuleName (RFC 4108, 5) into the
  subjectAltName instead, whose serial is read in hex.
- 8.7: it need not end (99991231235959Z), and needs no subjectAltName.
- RFC 8520, 11: it may name the device's MUD file.
- A TPM's endorsement certificate (TCG EK Credential Profile 3.2) is another such: its key decrypts and makes no signatures, its
  purpose is 2.23.133.8.1, and the TPM's serial number is the digest of that key (tpm.py).
- It is a leaf with digitalSignature, over a key that nothing is known against (weak.py), under an anchor of a vendor whom the
  operator named (chain.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import core
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from bastide.core.error import Refused
from bastide.device.identity.certificate import fingerprint
from bastide.device.identity.chain import ChainBroken, chain_to
from bastide.device.identity.tpm import PublicKey, tpm_serial
from bastide.device.identity.weak import weakness

MAX_SERIAL = 64
MAX_ANCHORS = 16
MAX_ANCHOR_BYTES = 65_536
_HARDWARE_MODULE_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
_EK_CERTIFICATE = x509.ObjectIdentifier("2.23.133.8.1")
_MUD_URL = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.25")


class ManufacturerRefused(Refused):
    """A manufacturer certificate that does not let its holder in."""

    code = "enrolment:manufacturer:refused"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A maker of devices. ``anchors`` are its CAs; ``unexpected``: whether a device that nobody expects may ask for approval."""

    name: str
    anchors: tuple[x509.Certificate, ...]
    unexpected: bool
    added_at: datetime
    added_by: str


@dataclass(frozen=True, slots=True)
class Manufactured:
    """What a manufacturer certificate says. ``fingerprint`` is the SHA-256 of its DER, ``mud_url`` empty where it has none.
    ``tpm``: it is a TPM's, which has shown that the device's key is in it."""

    vendor: Vendor
    serial: str
    fingerprint: str
    mud_url: str = ""
    tpm: bool = False


def read_vendor_anchors(text: bytes) -> tuple[x509.Certificate, ...]:
    """A vendor's CA certificates in PEM; ``Refused`` where one is no CA, or there are none or too many."""
    if len(text) > MAX_ANCHOR_BYTES:
        raise Refused(f"The certificates have more than {MAX_ANCHOR_BYTES} bytes.", code="vendor:anchors")
    try:
        found = tuple(x509.load_pem_x509_certificates(text))
        authorities = [_is_authority(one) for one in found]
        weak = [why for one in found if (why := weakness(one.public_key()))]
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise Refused(
            f"The vendor's CA certificates cannot be read as PEM ({error}).", code="vendor:anchors"
        ) from error
    if not all(authorities):
        raise Refused(
            "One of the certificates is no CA certificate (basicConstraints). Give the CA that signs the devices' "
            "certificates, not a device's own.",
            code="vendor:anchors",
        )
    if weak:
        raise Refused(f"The key of one of the certificates cannot be trusted: it {weak[0]}.", code="vendor:anchors")
    if not 1 <= len(found) <= MAX_ANCHORS:
        raise Refused(f"There are {len(found)} certificates; 1 to {MAX_ANCHORS} are read.", code="vendor:anchors")
    return found


def read_manufactured(ders: Sequence[bytes], vendors: Sequence[Vendor], at: datetime) -> Manufactured:
    """Who made the device and which one it is, by the certificates that it showed (its own first); ``ManufacturerRefused``
    says what is wrong."""
    try:
        leaf, *carried = (x509.load_der_x509_certificate(der) for der in ders)
        vendor = _maker(leaf, carried, vendors)
        _check(leaf, at)
        serial = _serial(leaf)
        mud_url = _mud_url(leaf)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise ManufacturerRefused(
            f"The manufacturer certificate cannot be read ({error}). Enrol with a claim, and ask the maker.",
            code="enrolment:manufacturer:unreadable",
        ) from error
    return Manufactured(vendor, serial, fingerprint(ders[0]), mud_url)


def read_endorsement(ders: Sequence[bytes], vendors: Sequence[Vendor], at: datetime) -> tuple[Manufactured, PublicKey]:
    """Which TPM it is, by its endorsement certificate (DER, what links it to its vendor after it), and its endorsement key.

    ``ManufacturerRefused`` says what is wrong. It proves nothing yet of whoever sent it: the certificate is public.
    """
    try:
        leaf, *carried = (x509.load_der_x509_certificate(der) for der in ders)
        vendor = _maker(leaf, carried, vendors)
        _check_time(leaf, at)
        key = leaf.public_key()
        fit = _EK_CERTIFICATE in _purposes(leaf) and not _is_authority(leaf)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion) as error:
        raise ManufacturerRefused(
            f"The endorsement certificate cannot be read ({error}). Enrol with a claim, and ask the maker.",
            code="enrolment:manufacturer:unreadable",
        ) from error
    known = isinstance(key, rsa.RSAPublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"
    )
    if not fit or not known:
        raise ManufacturerRefused(
            "The certificate is no TPM's endorsement certificate, or its key is neither RSA nor on P-256. Enrol with a claim.",
            code="enrolment:manufacturer:unfit",
        )
    _check_key(leaf)
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    return Manufactured(vendor, tpm_serial(key), fingerprint(ders[0]), tpm=True), key


def _maker(leaf: x509.Certificate, carried: Sequence[x509.Certificate], vendors: Sequence[Vendor]) -> Vendor:
    unfit: ChainBroken | None = None
    for vendor in vendors:
        try:
            chain_to(leaf, carried, vendor.anchors)
        except ChainBroken as broken:
            unfit = broken if broken.reason == "chain:unfit" else unfit
        else:
            return vendor
    if unfit is not None:
        raise ManufacturerRefused(unfit.sentence, code="enrolment:manufacturer:unfit")
    raise ManufacturerRefused(
        f"The certificate was issued by {leaf.issuer.rfc4514_string()[:120]!r}, which is no vendor that is known here. Name it "
        "with `bastide vendor add`, or enrol with a claim and without this certificate.",
        code="enrolment:manufacturer:unknown",
    )


def _check(leaf: x509.Certificate, at: datetime) -> None:
    _check_time(leaf, at)
    if _is_authority(leaf) or not _signs(leaf):
        raise ManufacturerRefused(
            "The certificate is not a device's own: it is a CA's, or its key may make no signatures. Enrol with a claim.",
            code="enrolment:manufacturer:unfit",
        )
    _check_key(leaf)


def _check_time(leaf: x509.Certificate, at: datetime) -> None:
    if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
        raise ManufacturerRefused(
            f"The manufacturer certificate holds from {leaf.not_valid_before_utc:%Y-%m-%d} to "
            f"{leaf.not_valid_after_utc:%Y-%m-%d}. Enrol with a claim, and ask the maker.",
            code="enrolment:manufacturer:time",
        )


def _check_key(leaf: x509.Certificate) -> None:
    if why := weakness(leaf.public_key()):
        raise ManufacturerRefused(
            f"The key of the manufacturer certificate proves nothing: it {why}. Enrol with a claim, and tell the maker.",
            code="enrolment:manufacturer:weak-key",
        )


def _is_authority(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _purposes(one: x509.Certificate) -> list[x509.ObjectIdentifier]:
    try:
        return list(one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []


def _signs(one: x509.Certificate) -> bool:
    try:
        return one.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _serial(leaf: x509.Certificate) -> str:
    found = [str(one.value) for one in leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]
    if not found:
        found = _hardware_serials(leaf)
    if len(found) != 1 or not 0 < len(found[0]) <= MAX_SERIAL or not found[0].isprintable():
        raise ManufacturerRefused(
            f"The manufacturer certificate names {len(found)} serial numbers that can be read; IEEE 802.1AR wants one. "
            "Enrol with a claim.",
            code="enrolment:manufacturer:serial",
        )
    return found[0]


def _hardware_serials(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    modules = [one for one in names.get_values_for_type(x509.OtherName) if one.type_id == _HARDWARE_MODULE_NAME]
    return [core.Sequence.load(one.value, strict=True)[1].native.hex() for one in modules]


def _mud_url(leaf: x509.Certificate) -> str:
    for extension in leaf.extensions:
        if extension.oid == _MUD_URL and isinstance(extension.value, x509.UnrecognizedExtension):
            return str(core.load(extension.value.value, strict=True).native)[:2048]
    return ""
