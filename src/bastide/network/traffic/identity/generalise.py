"""Takes out of a text what only one unit says: its addresses, serial numbers, UUIDs. What is left, another unit says too.

A MAC address is found in every form that makers write it in: with colons, dashes or nothing, whole, its last three octets
or its last two at the end of a word. Model numbers stay: they are short, and not in the device's own address.
"""

import re

GONE = "~"

_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_IPV6 = re.compile(r"(?<![0-9a-z:])[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}(?![0-9a-z:])")
_MAC = re.compile(r"(?<![0-9a-f])[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}(?![0-9a-f])")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_HEX = re.compile(r"(?<![a-z0-9])(?=[a-f]*[0-9])[0-9a-f]{6,}(?![a-z0-9])")
_NUMBER = re.compile(r"\d{5,}")
_COPY = re.compile(r" ?\(\d{1,3}\)$")
_DIGITS = re.compile(r"\d+")
_HASH = re.compile(r"(?=.*\d.*[a-z].*\d)[a-z0-9]{12,}")
_SECOND_LEVEL = frozenset(("co", "com", "net", "org", "ac", "gov", "edu"))


def generalise(text: str, mac: str | None) -> str:
    """The text in lower case with ``~`` for whatever names one unit; ``mac`` is the device's own, where it is known."""
    value = text.lower()
    if mac is not None:
        packed = mac.replace(":", "")
        for form in (mac, mac.replace(":", "-"), packed, packed[6:]):
            value = value.replace(form, GONE)
        value = re.sub(packed[8:] + r"(?![0-9a-z])", GONE, value)
    for pattern in (_UUID, _MAC, _IPV4, _IPV6, _HEX, _NUMBER):
        value = pattern.sub(GONE, value)
    return _COPY.sub("", value).strip()


def host_name(text: str, mac: str | None) -> str:
    """A name in the DNS: generalised, digits below the registered domain as ``#``, at most the last four labels.

    Empty for names that say nothing of a type: reverse look-ups and bare addresses.
    """
    value = generalise(text, mac).rstrip(".")
    if not value or value.endswith(".arpa") or value.strip(GONE + ".") == "":
        return ""
    labels = value.split(".")
    kept = max(len(labels) - _registered(labels), 0)
    labels = [_DIGITS.sub("#", GONE if _HASH.fullmatch(label) else label) for label in labels[:kept]] + labels[kept:]
    return ".".join(labels[-4:])


def domain(host: str) -> str:
    """The registered part of a generalised host name: two labels, three below ``co.uk`` and its like."""
    labels = host.split(".")
    return ".".join(labels[-_registered(labels) :])


def _registered(labels: list[str]) -> int:
    return 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
