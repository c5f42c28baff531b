"""What is wrong, as far as traffic shows it. Each finding says what was seen, how bad it is, and what to do next.

A table of rules: a rule looks at one device and answers with the evidence, or nothing. Passive evidence can be forged, so
no confidence is 1. Credentials are never part of the evidence; that they crossed the wire is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bastide.core.evidence import Subject, SubjectKind
from bastide.core.finding import Finding, Severity
from bastide.network.traffic.devices import SeenDevice
from bastide.network.traffic.dissect.tls import OBSOLETE


@dataclass(frozen=True, slots=True)
class Observed:
    """A finding and what was seen, in words."""

    finding: Finding
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """``look`` returns what was seen; empty means that the rule does not hold."""

    code: str
    severity: Severity
    confidence: float
    title: str
    advice: str
    look: Callable[[SeenDevice], tuple[str, ...]]


def _serves(*protocols: str) -> Callable[[SeenDevice], tuple[str, ...]]:
    def look(device: SeenDevice) -> tuple[str, ...]:
        return tuple(
            f"answers {service.protocol} on {service.transport} port {service.port}"
            for service in device.services
            if service.protocol in protocols
        )

    return look


def _says(word: str, shown: str, *values: str) -> Callable[[SeenDevice], tuple[str, ...]]:
    def look(device: SeenDevice) -> tuple[str, ...]:
        return tuple(shown.format(value) for value in device.values(word) if not values or value in values)[:8]

    return look


def _telnet_client(device: SeenDevice) -> tuple[str, ...]:
    if "telnet" in device.protocols and not _serves("telnet")(device):
        return ("opens Telnet sessions to others",)
    return ()


def _ftp(device: SeenDevice) -> tuple[str, ...]:
    return _serves("ftp")(device) or (("uses FTP",) if "ftp" in device.protocols else ())


def _http_admin(device: SeenDevice) -> tuple[str, ...]:
    served = _serves("http")(device)
    if not served:
        return ()
    signs = _says("sign-in", "asks for a password over HTTP: {}")(device)
    pages = tuple("serves web pages over HTTP" for _ in device.values("page")[:1])
    return signs + pages + served[:4] if signs or pages else ()


def _obsolete(word: str, shown: str) -> Callable[[SeenDevice], tuple[str, ...]]:
    return _says(word, shown, *OBSOLETE)


def _commanded(device: SeenDevice) -> tuple[str, ...]:
    return _serves("modbus", "dnp3", "s7comm", "s7comm-plus", "enip", "iec104", "bacnet")(device)


def _mqtt(device: SeenDevice) -> tuple[str, ...]:
    if "mqtt" not in device.protocols:
        return ()
    signs = ["speaks MQTT without TLS"]
    if device.values("anonymous") and "mqtt" in device.values("anonymous"):
        signs.append("connects without a user name")
    return tuple(signs)


RULES: tuple[Rule, ...] = (
    Rule(
        "traffic:default-credentials",
        Severity.CRITICAL,
        0.9,
        "Signs in with a password that devices are shipped with",
        "Set a password of its own on the device it signs in to, and find out who else knows the old one.",
        _says("default-credential", "a factory user name and password crossed the network ({})"),
    ),
    Rule(
        "traffic:cleartext-credentials",
        Severity.HIGH,
        0.9,
        "Sends a password where everyone on the network can read it",
        "Switch the service to TLS or SSH; then change the password, because it must be taken for known.",
        _says("credential", "a credential crossed the network unencrypted ({})"),
    ),
    Rule(
        "traffic:telnet",
        Severity.HIGH,
        0.95,
        "Can be managed over Telnet",
        "Switch Telnet off on the device, or block TCP port 23 to it; use SSH where it has it.",
        _serves("telnet"),
    ),
    Rule(
        "traffic:telnet-client",
        Severity.HIGH,
        0.6,
        "Opens Telnet sessions to other machines",
        "Devices rarely have a reason to; a worm that spreads does. Look at whom it connects to, and separate it.",
        _telnet_client,
    ),
    Rule(
        "traffic:ssh-1",
        Severity.HIGH,
        0.9,
        "Offers version 1 of SSH",
        "Update the device's firmware or switch version 1 off; it can be decrypted.",
        _says("ssh1", "SSH protocol version {}"),
    ),
    Rule(
        "traffic:port-mapping",
        Severity.HIGH,
        0.85,
        "Opens a port on the router to the internet (UPnP)",
        "Switch UPnP off on the router, remove the mapping, and reach the device through a VPN.",
        _says("port-mapping", "asked the router for {}"),
    ),
    Rule(
        "traffic:tls-obsolete",
        Severity.MEDIUM,
        0.9,
        "Answers with an obsolete version of TLS",
        "Update the firmware, or allow TLS 1.2 and later only; RFC 8996 forbids what it uses.",
        _obsolete("tls", "chose {}"),
    ),
    Rule(
        "traffic:tls-obsolete-peer",
        Severity.MEDIUM,
        0.8,
        "Talks to a server with an obsolete version of TLS",
        "Ask the maker for firmware that uses TLS 1.2 or later; until then limit whom it may talk to.",
        _obsolete("peer-tls", "its peer chose {}"),
    ),
    Rule(
        "traffic:weak-certificate",
        Severity.MEDIUM,
        0.85,
        "Uses a certificate that can be forged",
        "Give it a certificate with a P-256 or RSA 2048 key and a SHA-256 signature.",
        _says("weak-certificate", "{}"),
    ),
    Rule(
        "traffic:http-admin",
        Severity.MEDIUM,
        0.75,
        "Has a web page without encryption",
        "Switch its web page to HTTPS or allow it from the administrators' network only.",
        _http_admin,
    ),
    Rule(
        "traffic:mqtt-cleartext",
        Severity.MEDIUM,
        0.9,
        "Speaks MQTT without encryption",
        "Move it to MQTT over TLS (port 8883) with a certificate of its own.",
        _mqtt,
    ),
    Rule(
        "traffic:ftp",
        Severity.MEDIUM,
        0.9,
        "Uses FTP",
        "Switch FTP off, or use SFTP or HTTPS instead; files and passwords are readable on the way.",
        _ftp,
    ),
    Rule(
        "traffic:industrial-unprotected",
        Severity.MEDIUM,
        0.85,
        "Takes industrial commands from anyone who reaches it",
        "Let only the control stations reach it (its protocol cannot tell friend from foe), in a zone of its own.",
        _commanded,
    ),
    Rule(
        "traffic:control-unprotected",
        Severity.MEDIUM,
        0.8,
        "Can be switched by anyone on the network",
        "Put it into a zone of its own; its local control protocol has no sign-in.",
        _says("control", "speaks {} without a sign-in"),
    ),
    Rule(
        "traffic:tftp",
        Severity.LOW,
        0.8,
        "Moves files over TFTP",
        "See that firmware and settings are signed, or move them over HTTPS; TFTP proves nothing.",
        lambda device: ("uses TFTP",) if "tftp" in device.protocols else (),
    ),
    Rule(
        "traffic:self-signed",
        Severity.LOW,
        0.8,
        "Uses a certificate that it signed itself",
        "Enrol it with your own authority, so that others can tell it from an impostor.",
        _says("self-signed", "certificate of {}"),
    ),
)


def findings_of(device: SeenDevice) -> tuple[Observed, ...]:
    """What is wrong with one device, worst first."""
    found = []
    for rule in RULES:
        evidence = rule.look(device)
        if evidence:
            finding = Finding(
                code=rule.code,
                subject=Subject(SubjectKind.DEVICE, device.name),
                severity=rule.severity,
                confidence=rule.confidence,
                title=rule.title,
                advice=rule.advice,
                found_at=device.last_seen,
            )
            found.append(Observed(finding, evidence))
    found.sort(key=lambda observed: -observed.finding.severity.rank)
    return tuple(found)
