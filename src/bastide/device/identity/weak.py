"""Keys that somebody else has, or can compute.

- RSA below 2048 bits (NIST SP 800-131A), with an exponent that is even or below 3, and keys of the ROCA library (CVE-2017-15361):
  its primes are powers of 65537 modulo many small primes, which shows in the public modulus.
- Elliptic curve keys whose private half is in a book: the smallest numbers, and the examples of RFC 6979 A.2.5 and A.2.6, which
  sample code holds and devices were shipped with.

Keys that Debian's OpenSSL made in 2006 to 2008 are RSA and DSA; a list of them is not part of this.
"""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MIN_RSA_BITS = 2048
_SMALLEST = 32
_RFC6979 = {
    "secp256r1": 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721,
    "secp384r1": int(
        "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5", 16
    ),
}  # fmt: skip
_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def weakness(key: PublicKeyTypes) -> str:
    """Why a key is no secret, as the rest of a sentence that begins with "it"; empty where nothing is known against it."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        if key.key_size < MIN_RSA_BITS:
            return f"has {key.key_size} bits, and {MIN_RSA_BITS} are needed"
        if numbers.e < 3 or numbers.e % 2 == 0:
            return f"has the exponent {numbers.e}"
        if all(numbers.n % prime in _powers(prime) for prime in _PRIMES):
            return "was made by the library of CVE-2017-15361 (ROCA), and can be factored"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.public_numbers() in _published(key.curve.name):
        return "is published: its private half stands in a standard or in sample code"
    return ""


@cache
def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime))


@cache
def _published(curve: str) -> frozenset[ec.EllipticCurvePublicNumbers]:
    if curve not in _RFC6979:
        return frozenset()
    kind = ec.SECP256R1() if curve == "secp256r1" else ec.SECP384R1()
    known = [*range(1, _SMALLEST + 1), _RFC6979[curve]]
    return frozenset(ec.derive_private_key(one, kind).public_key().public_numbers() for one in known)
