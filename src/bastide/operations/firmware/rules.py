# ruff: noqa: E501 - the table of rules reads in one sweep, a line for each
"""Components by what their binaries say of themselves: rules as data, each with a sample that it must find.

A rule is an anchor (octets that are searched for first, which is fast) and a pattern whose first group is the version. It is
tried around each place of the anchor, or over the whole where ``whole`` is set: then the anchor only tells that it is this
component. Confidence is lower where the version stands alone and might be something else's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_BEFORE, _AFTER = 64, 320
MAX_PLACES = 16


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    anchor: bytes
    pattern: bytes
    sample: bytes
    version: str
    confidence: float = 0.95
    whole: bool = False
    compiled: re.Pattern[bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compiled", re.compile(self.pattern))

    def versions(self, octets: bytes) -> Iterator[str]:
        """The versions that the octets tell, each once."""
        at = octets.find(self.anchor)
        if at < 0:
            return
        if self.whole:
            if found := self.compiled.search(octets):
                yield found[1].decode()
            return
        told: set[str] = set()
        for _ in range(MAX_PLACES):
            if found := self.compiled.search(octets, max(0, at - _BEFORE), at + _AFTER):
                version = found[1].decode()
                if version not in told:
                    told.add(version)
                    yield version
            at = octets.find(self.anchor, at + len(self.anchor))
            if at < 0:
                return


def _plain(name: str, words: bytes, digits: bytes, sample: bytes, version: str, confidence: float = 0.95) -> Rule:
    """``words`` and then the version."""
    return Rule(name, words, re.escape(words) + b"(" + digits + b")", sample, version, confidence)


_TWO = rb"\d+\.\d+"
_MORE = rb"\d+(?:\.\d+)+"
_THREE = rb"\d+\.\d+\.\d+"
_ALONE = rb"\x00([0-9]+(?:\.[0-9]+){1,3}[a-z]?)\x00"

RULES: Final[tuple[Rule, ...]] = (
    _plain("busybox", b"BusyBox v", _MORE, b"BusyBox v1.36.1 (2023-05-18)", "1.36.1"),
    Rule("glibc", b"GNU C Library", rb"GNU C Library [^\x00\n]{0,80}version (\d+\.\d+(?:\.\d+)?)", b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.", "2.36"),
    Rule("musl", b"musl libc (", rb"\x00(1\.[0-9]\.[0-9]+)\x00", b"musl libc (armhf)\n\x001.2.4\x00", "1.2.4", 0.9, whole=True),
    Rule("uclibc-ng", b"uClibc-ng", rb"\x00(1\.0\.[0-9]+)\x00", b"uClibc-ng\x00\x001.0.43\x00", "1.0.43", 0.7, whole=True),
    Rule("openssl", b"OpenSSL ", rb"OpenSSL (\d+\.\d+\.\d+[a-z]{0,2})(?:-[a-z0-9]+)? +\d{1,2} [A-Z][a-z]{2} \d{4}", b"OpenSSL 1.1.1w  11 Sep 2023", "1.1.1w"),
    _plain("wolfssl", b"wolfSSL ", _THREE, b"wolfSSL 5.6.3", "5.6.3", 0.8),
    Rule("mbedtls", b"bed TLS ", rb"[mM]bed TLS (\d+\.\d+\.\d+)", b"mbed TLS 2.28.3", "2.28.3"),
    _plain("gnutls", b"GnuTLS ", rb"3\.\d+\.\d+", b"Enabled GnuTLS 3.7.9 logging...", "3.7.9"),
    Rule("zlib", b"flate 1.", rb"(?:in|de)flate (1\.\d+(?:\.\d+)*) Copyright", b" deflate 1.2.13 Copyright 1995-2022", "1.2.13"),
    Rule("bzip2", b"bzip2", rb"(1\.0\.\d), \d{1,2}-[A-Z][a-z]{2}-\d{4}", b"bzip2/libbzip2\x001.0.8, 13-Jul-2019", "1.0.8", whole=True),
    Rule("xz", b"XZ Utils", rb"XZ Utils\)? (\d+\.\d+\.\d+)", b"xz (XZ Utils) 5.4.1", "5.4.1"),
    _plain("curl", b"libcurl/", _THREE, b"libcurl/7.88.1", "7.88.1"),
    Rule("wget", b"Wget/%s", rb"(?:wget-|\x00)(1\.[12]\d(?:\.\d+)?)[/=\x00]", b"Wget/%s\x00-ffile-prefix-map=/build/wget-1.21.3=.", "1.21.3", 0.8, whole=True),
    Rule("dropbear", b"ropbear", rb"[dD]ropbear(?:_| v| SSH [a-z ]*v)(20\d\d\.\d+)", b"SSH-2.0-dropbear_2022.83", "2022.83"),
    _plain("openssh", b"OpenSSH_", rb"\d+\.\d+(?:p\d+)?", b"OpenSSH_9.2p1 Debian-2", "9.2p1"),
    _plain("dnsmasq", b"dnsmasq-", _TWO, b"dnsmasq-2.89", "2.89"),
    _plain("wpa_supplicant", b"wpa_supplicant v", _TWO, b"wpa_supplicant v2.10", "2.10"),
    _plain("hostapd", b"hostapd v", _TWO, b"hostapd v2.9", "2.9"),
    _plain("lighttpd", b"lighttpd/", _THREE, b"lighttpd/1.4.69", "1.4.69"),
    _plain("nginx", b"nginx/", _THREE, b"nginx/1.22.1", "1.22.1"),
    _plain("boa", b"Boa/", rb"\d+\.\d+\.\d+(?:rc\d+)?", b"Server: Boa/0.94.13", "0.94.13"),
    _plain("mini_httpd", b"mini_httpd/", _TWO, b"mini_httpd/1.30 26Oct2018", "1.30"),
    _plain("thttpd", b"thttpd/", rb"\d+\.\d+\w*", b"thttpd/2.29 23May2018", "2.29"),
    _plain("goahead", b"GoAhead-http/", _THREE, b"GoAhead-http/4.1.3", "4.1.3"),
    _plain("mosquitto", b"mosquitto version ", _THREE, b"mosquitto version 2.0.11", "2.0.11"),
    _plain("avahi", b"avahi-daemon ", _TWO, b"avahi-daemon 0.8", "0.8", 0.9),
    _plain("avahi", b"avahi ", _TWO, b"avahi 0.8", "0.8", 0.9),
    _plain("iptables", b"iptables v", _THREE, b"iptables v1.8.9", "1.8.9"),
    _plain("samba", b"Samba ", rb"[34]\.\d+\.\d+", b"Samba 4.17.9", "4.17.9"),
    _plain("net-snmp", b"NET-SNMP version ", _MORE, b"NET-SNMP version 5.9.3", "5.9.3"),
    Rule("sqlite", b"SQLite format 3", rb"\x00(3\.\d+\.\d+(?:\.\d+)?)\x00", b"SQLite format 3\x00\x003.40.1\x00", "3.40.1", 0.9, whole=True),
    _plain("expat", b"expat_", _THREE, b"expat_2.5.0", "2.5.0"),
    Rule("pcre2", b"PCRE2", rb"\x00(10\.\d+) \d{4}-\d{2}-\d{2}", b"\x0010.42 2022-12-11\x00PCRE2 does", "10.42", whole=True),
    _plain("lua", b"Lua ", rb"5\.\d\.\d+", b"Lua 5.3.6  Copyright (C)", "5.3.6"),
    Rule("u-boot", b"U-Boot ", rb"U-Boot (?:SPL |TPL )?(\d{4}\.\d{2}(?:-rc\d+)?)", b"U-Boot SPL 2023.01", "2023.01"),
    Rule("linux", b"Linux version ", rb"Linux version (\d+\.\d+(?:\.\d+)?)", b"Linux version 6.1.0-50-armmp (debian@x)", "6.1.0"),
    _plain("openvpn", b"OpenVPN ", _THREE, b"OpenVPN 2.6.3 arm-", "2.6.3"),
    Rule("ntp", b"ntpd 4.", rb"ntpd (4\.\d\.\d+(?:p\d+)?)", b"ntpd 4.2.8p15@1", "4.2.8p15"),
    _plain("libpcap", b"libpcap version ", _MORE, b"libpcap version 1.10.3", "1.10.3"),
    Rule("vsftpd", b"vsFTPd ", rb"vsFTPd (\d+\.\d+\.\d+)", b"(vsFTPd 3.0.3)", "3.0.3"),
    _plain("proftpd", b"ProFTPD ", rb"\d+\.\d+\.\d+\w?", b"ProFTPD 1.3.7a", "1.3.7a"),
    _plain("libgcrypt", b"This is Libgcrypt ", _MORE, b"This is Libgcrypt 1.10.1 - The GNU", "1.10.1"),
    _plain("libgpg-error", b"This is Libgpg-error ", _MORE, b"This is Libgpg-error 1.46 - A runtime", "1.46"),
    _plain("fribidi", b"(GNU FriBidi) ", _MORE, b"(GNU FriBidi) 1.0.8", "1.0.8"),
    Rule("ncurses", b"ncurses ", rb"ncurses (\d+\.\d+)(?:\.\d{8})?", b"ncurses 6.4.20221231", "6.4"),
    Rule("libcap", b"libcap-", rb"libcap-(\d+\.\d+)", b"library version: libcap-2.66.", "2.66"),
    _plain("pciutils", b"lspci version ", _MORE, b"lspci version 3.9.0", "3.9.0"),
    _plain("kbd", b"kbd ", rb"[12]\.\d+\.\d+", b"kbd 2.5.1", "2.5.1", 0.9),
    _plain("util-linux", b"util-linux ", _MORE, b"util-linux 2.38.1", "2.38.1"),
    _plain("nano", b"GNU nano ", _MORE, b"GNU nano 7.2", "7.2"),
    Rule("readline", b"/etc/inputrc", rb"\x00([5-8]\.\d)\x00", b"/etc/inputrc\x00\x008.2\x00", "8.2", 0.7, whole=True),
    _plain("bash", b"@(#)Bash version ", _THREE, b"@(#)Bash version 5.2.15(1)", "5.2.15"),
    _plain("strongswan", b"strongSwan ", _THREE, b"strongSwan 5.9.8", "5.9.8", 0.9),
    _plain("tcpdump", b"tcpdump version ", _MORE, b"tcpdump version 4.99.3", "4.99.3"),
    Rule("gnupg", b"GnuPG", rb"\x00([12]\.\d+\.\d+)\x00", b"gpgv (GnuPG)\x00\x002.2.40\x00", "2.2.40", 0.7, whole=True),
    Rule("e2fsprogs", b"EXT2FS Library version ", rb"EXT2FS Library version (\d+(?:\.\d+)+)", b"EXT2FS Library version 1.47.0", "1.47.0"),
    _plain("python", b"Python ", rb"[23]\.\d+\.\d+", b"Python 3.11.2 (main", "3.11.2", 0.7),
    _plain("libwebsockets", b"libwebsockets ", _THREE, b"libwebsockets 4.1.6", "4.1.6", 0.8),
    _plain("paho-mqtt-c", b"Eclipse Paho Synchronous MQTT C Client Library\x00", _THREE, b"Eclipse Paho Synchronous MQTT C Client Library\x001.3.12", "1.3.12", 0.7),
    Rule("libmodbus", b"libmodbus", rb"libmodbus[ -](\d+\.\d+\.\d+)", b"libmodbus 3.1.6", "3.1.6"),
    Rule("freertos", b"FreeRTOS", rb"FreeRTOS(?: Kernel)?[ _]V(\d+\.\d+\.\d+)", b"FreeRTOS Kernel V10.4.3", "10.4.3"),
    Rule("zephyr", b"Booting Zephyr OS", rb"Zephyr OS (?:build |version )?(?:v|zephyr-v)?(\d+\.\d+\.\d+)", b"*** Booting Zephyr OS build v3.4.0 ***", "3.4.0"),
    Rule("esp-idf", b"ESP-IDF", rb"ESP-IDF:? +v(\d+\.\d+(?:\.\d+)?)", b"ESP-IDF: v5.1.2", "5.1.2"),
    Rule("miniupnpd", b"MiniUPnPd/", rb"MiniUPnPd/(\d+\.\d+(?:\.\d+)?)", b"UPnP/1.1 MiniUPnPd/2.2.1", "2.2.1"),
    Rule("minidlna", b"MiniDLNA/", rb"MiniDLNA/(\d+\.\d+\.\d+)", b"DLNADOC/1.50 UPnP/1.0 MiniDLNA/1.3.0", "1.3.0"),
    Rule("portable-sdk-for-upnp", b"Portable SDK for UPnP devices/", rb"Portable SDK for UPnP devices/(\d+\.\d+\.\d+)", b"Portable SDK for UPnP devices/1.6.22", "1.6.22"),
    Rule("ffmpeg", b"FFmpeg version ", rb"FFmpeg version n?(\d+\.\d+(?:\.\d+)?)", b"FFmpeg version 5.1.3", "5.1.3"),
    Rule("live555", b"LIVE555 Streaming Media v", rb"LIVE555 Streaming Media v(20\d\d\.\d\d\.\d\d)", b"LIVE555 Streaming Media v2020.01.28", "2020.01.28"),
    Rule("libupnp", b"libupnp", rb"libupnp-?(\d+\.\d+\.\d+)", b"libupnp-1.14.12", "1.14.12", 0.8),
    Rule("radvd", b"radvd", rb"radvd[ -](\d+\.\d+)", b"radvd 2.19", "2.19", 0.7),
    Rule("ppp", b"pppd version", rb"\x00(2\.[45]\.\d+)\x00", b"pppd version %s\x00\x002.4.9\x00", "2.4.9", 0.8, whole=True),
    Rule("screen", b"GNU Screen version", rb"(\d+\.\d{2}\.\d{2}) \(GNU\)", b"GNU Screen version %v\x004.09.00 (GNU) 30-Jan-22", "4.09.00", 0.9, whole=True),
)  # fmt: skip

_LIBRARY_NAMES: Final[dict[str, str]] = {
    "libz": "zlib",
    "libreadline": "readline",
    "libncursesw": "ncurses",
    "libncurses": "ncurses",
    "libtinfo": "ncurses",
    "libcap": "libcap",
    "libnewt": "newt",
    "libslang": "slang",
    "libpci": "pciutils",
    "libavahi-common": "avahi",
}
_LIBRARY_FILE = re.compile(r"(lib[a-z0-9_+-]+)\.so\.(\d+(?:\.\d+)+)$")


def library_of(file_name: str) -> tuple[str, str] | None:
    """(component, version) of libraries whose file name ends with their release, not only with that of their interface."""
    found = _LIBRARY_FILE.search(file_name)
    return (_LIBRARY_NAMES[found[1]], found[2]) if found and found[1] in _LIBRARY_NAMES else None
