"""Names of things. Each is text; the types keep one from being passed for another.

A device id is ``d-`` and 20 characters of ``a-z2-7`` (100 random bits), safe as a file name, an MQTT topic level, a NATS
subject token and an X.509 common name. Other ids have the same form behind another prefix.
"""

import re
from base64 import b32encode
from typing import NewType

DeviceId = NewType("DeviceId", str)
EvidenceId = NewType("EvidenceId", str)
FindingId = NewType("FindingId", str)
RecordId = NewType("RecordId", str)
RequestId = NewType("RequestId", str)
ClaimId = NewType("ClaimId", str)
WaiverId = NewType("WaiverId", str)

ProfileName = NewType("ProfileName", str)
DeviceClass = NewType("DeviceClass", str)
OwnerName = NewType("OwnerName", str)
SiteName = NewType("SiteName", str)
ZoneName = NewType("ZoneName", str)
RuleId = NewType("RuleId", str)

ID_ENTROPY_BYTES = 13

_DEVICE_ID = re.compile(r"d-[a-z2-7]{20}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def mint(prefix: str, entropy: bytes) -> str:
    """The id that ``ID_ENTROPY_BYTES`` or more of entropy make under a prefix, e.g. ``d`` for a device."""
    return f"{prefix}-{b32encode(entropy).decode().rstrip('=').lower()[:20]}"


def is_device_id(text: str) -> bool:
    """True where the text has the form of a device id."""
    return _DEVICE_ID.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """True where the text may name a class, owner, site, zone or profile: 1 to 63 of ``a-z 0-9 . _ -``."""
    return _NAME.fullmatch(text) is not None
