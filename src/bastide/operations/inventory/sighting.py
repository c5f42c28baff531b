"""What a scan saw of one device, and the keys by which it is known again.

- A universally administered MAC address (IEEE 802, the local bit is 0) is a key: it stays while leases change.
- A randomised address is none: it is thrown away by the device that made it. Then a name that the device gives itself is
  the key, within its site, unless it is a name that many give themselves.
- Without either, a sighting cannot be known again. It is counted and passed over, never made into a device that comes back
  as another one tomorrow.

Which device a key belongs to is kept by the store, because people merge and split; ``own_id`` is where it goes by itself.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from bastide.core.finding import Severity
from bastide.core.ids import DeviceId, SiteName, mint

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_KEY = re.compile(r"mac:[0-9a-f]{2}(:[0-9a-f]{2}){5}|name:[a-z0-9._-]{1,63}/[^\s/]{1,120}")

COMMON_NAMES = frozenset(
    (
        *(
            "android",
            "androidtv",
            "amazon",
            "apple-tv",
            "chromecast",
            "desktop",
            "device",
            "esp",
            "espressif",
            "galaxy",
        ),
        *("host", "iphone", "ipad", "laptop", "linux", "localhost", "macbook", "macbook-air", "macbook-pro", "mobile"),
        *("openwrt", "phone", "raspberrypi", "router", "tablet", "ubuntu", "unknown", "watch", "windows"),
    )
)
"""Names that say what a thing is, not which one."""


@dataclass(frozen=True, slots=True)
class SeenFinding:
    code: str
    severity: Severity
    confidence: float
    title: str
    advice: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One device of a scan. ``mac`` is lower-case with colons, empty where none was seen. ``type`` is the fingerprint base's
    answer, empty for unknown, ``type_because`` the tokens that speak for it; ``services`` read ``tcp/80 http``."""

    mac: str
    first_seen: datetime
    last_seen: datetime
    randomised: bool = False
    vendor: str = ""
    addresses: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    mud_urls: tuple[str, ...] = ()
    type: str = ""
    type_confidence: float = 0.0
    type_because: tuple[str, ...] = ()
    findings: tuple[SeenFinding, ...] = ()


def key_of(seen: Sighting, site: SiteName) -> str | None:
    """The key by which the device is known again; None where there is none."""
    if seen.mac and not seen.randomised and not is_local(seen.mac):
        return mac_key(seen.mac)
    name = next((_named(name) for name in seen.host_names if _named(name)), "")
    return f"name:{site}/{name}" if name else None


def mac_key(mac: str) -> str:
    return f"mac:{mac}"


def is_key(text: str) -> bool:
    """True where the text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def is_local(mac: str) -> bool:
    """True for a locally administered address, one that a device or hypervisor made up (IEEE 802, second bit)."""
    return bool(int(mac[:2], 16) & 2)


def own_id(key: str) -> DeviceId:
    """The id of the device that a key makes where nobody said otherwise: the same sighting always finds the same device."""
    # The words are those of the first release, so that a device which it made is found again.
    told = f"bastide seen mac {key[4:]}" if key.startswith("mac:") else f"bastide seen {key}"
    return DeviceId(mint("d", sha256(told.encode()).digest()[:13]))


def _named(name: str) -> str:
    plain = re.sub(r"[\s/]+", "-", name.strip().lower())[:120]
    return "" if len(plain) < 3 or plain in COMMON_NAMES or _MAC.fullmatch(plain) else plain
