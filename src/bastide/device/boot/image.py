"""An image: a header of 128 octets, signed, before the content.

    0  4  magic ``BIMG``          4  4  security counter       8  4  size of the content     12  4  hardware (0: any)
    16 32 SHA-256 of the content  48 16 zero                   64 64 Ed25519 signature over the octets 0 to 63

Verification accepts or raises; nothing of an image is used before it. The content's digest is taken block by block.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bastide.core.error import Refused

MAGIC = b"BIMG"
HEADER_BYTES = 128
_SIGNED = 64
_STEP = 4096


class ImageRefused(Refused):
    """An image that is not to be started."""

    code = "boot:image:refused"


@dataclass(frozen=True, slots=True)
class Image:
    """What the signed header says."""

    counter: int
    size: int
    hardware: int
    digest: bytes


def make_image(content: bytes, counter: int, key: Ed25519PrivateKey, hardware: int = 0) -> bytes:
    """A signed image."""
    head = struct.pack("<4sIII32s16x", MAGIC, counter, len(content), hardware, sha256(content).digest())
    return head + key.sign(head) + content


def read_header(header: bytes, key: Ed25519PublicKey) -> Image:
    """The header, once its signature holds. ``ImageRefused`` says what does not."""
    if len(header) < HEADER_BYTES or header[:4] != MAGIC:
        raise ImageRefused("There is no image: it does not begin as one.")
    try:
        key.verify(header[_SIGNED:HEADER_BYTES], header[:_SIGNED])
    except InvalidSignature as error:
        raise ImageRefused("The image's header is not signed by the key that this device trusts.") from error
    _, counter, size, hardware, digest = struct.unpack_from("<4sIII32s", header)
    return Image(counter, size, hardware, digest)


def verify(
    read: Callable[[int, int], bytes], room: int, key: Ed25519PublicKey, counter: int, hardware: int = 0
) -> Image:
    """The image that ``read(at, count)`` gives from 0, whole and as it was signed, not below the counter, for this hardware."""
    image = read_header(read(0, HEADER_BYTES), key)
    if HEADER_BYTES + image.size > room:
        raise ImageRefused(f"The image has {image.size:,} octets, more than its slot holds.")
    if image.hardware and image.hardware != hardware:
        raise ImageRefused(f"The image is for hardware {image.hardware}, and this is {hardware}.")
    if image.counter < counter:
        raise ImageRefused(
            f"The image's security counter is {image.counter}, below {counter}, which was confirmed already."
        )
    digest = sha256()
    for at in range(0, image.size, _STEP):
        digest.update(read(HEADER_BYTES + at, min(_STEP, image.size - at)))
    if digest.digest() != image.digest:
        raise ImageRefused("The image's content is not the one that was signed.")
    return image
