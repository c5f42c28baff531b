"""Address prefixes and who has them: IEEE's ``oui.txt`` and ``oui.csv`` (also those of MA-M and MA-S), Wireshark's ``manuf``.

The longest prefix that fits an address wins: 36 bits, 28, 24.
"""

import csv
import re
from collections.abc import Callable

from bastide.core.error import Unreadable

MAX_OCTETS = 32 << 20
MAX_PREFIXES = 500_000
_TEXT = re.compile(r"^([0-9A-F]{2})[-:]([0-9A-F]{2})[-:]([0-9A-F]{2})\s+\(hex\)\s+(\S.*)$")
_MANUF = re.compile(r"^([0-9A-Fa-f]{2}(?:[:.-][0-9A-Fa-f]{2}){2,5})(?:/(\d{2}))?\t+([^\t]+)(?:\t+([^\t]+))?")
_REGISTRIES = {"MA-L": 6, "MA-M": 7, "MA-S": 9, "IAB": 9, "CID": 6}


class BadPrefixes(Unreadable):
    """The file is none of those lists."""

    code = "oui:list:malformed"


def read_prefixes(octets: bytes) -> dict[str, str]:
    """Makers by prefix: 6, 7 or 9 hexadecimal digits in lower case. ``BadPrefixes`` where nothing in it is one."""
    if len(octets) > MAX_OCTETS:
        raise BadPrefixes(
            f"The list of makers is larger than {MAX_OCTETS >> 20} MiB; give IEEE's oui.txt or oui.csv, or manuf."
        )
    text = octets.decode("utf-8", "replace")
    head = text[:400].lower()
    found = _csv(text) if "registry" in head and "assignment" in head else _lines(text)
    if not found:
        raise BadPrefixes(
            "There is no address prefix in the list of makers; give IEEE's oui.txt or oui.csv, or Wireshark's manuf."
        )
    return found


def _csv(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        for row in csv.reader(text.splitlines()):
            digits = _REGISTRIES.get(row[0].strip()) if len(row) >= 3 else None
            prefix = row[1].strip().lower() if digits else ""
            if digits and re.fullmatch(f"[0-9a-f]{{{digits}}}", prefix) and len(found) < MAX_PREFIXES:
                found[prefix] = _name(row[2])
    except csv.Error as error:
        raise BadPrefixes(f"The list of makers is no CSV: {error}.") from error
    return found


def _lines(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        if len(found) >= MAX_PREFIXES:
            break
        if match := _TEXT.match(line):
            found["".join(match.groups()[:3]).lower()] = _name(match[4])
        elif match := _MANUF.match(line):
            digits = re.sub("[:.-]", "", match[1]).lower()
            bits = int(match[2]) if match[2] else min(4 * len(digits), 24)
            if bits in (24, 28, 36) and len(digits) * 4 >= bits:
                found[digits[: bits // 4]] = _name(match[4] or match[3])
    return found


def _name(text: str) -> str:
    return "".join(sign for sign in text.strip() if sign.isprintable())[:120]


def vendor_of(prefixes: dict[str, str], other: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """A lookup of addresses (``aa:bb:cc:dd:ee:ff``); what the list does not know is asked of ``other``."""

    def vendor(mac: str) -> str | None:
        digits = mac.replace(":", "")
        for length in (9, 7, 6):
            if name := prefixes.get(digits[:length]):
                # A block that is dealt out further is nobody's by itself.
                if name.lower().startswith("ieee registration"):
                    continue
                return name
        return other(mac)

    return vendor
