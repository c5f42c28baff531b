"""Protocols of lines: SSH (RFC 4253 4.2), FTP (RFC 959), Telnet (RFC 854), SMTP, POP3 and IMAP greetings.

Passwords are recognised, compared with the defaults of devices, and forgotten.
"""

from typing import Any

from bastide.network.traffic.dissect.defaults import is_default
from bastide.network.traffic.dissect.message import Context, Dissector, Malformed, Message, Said, text

MAX_LINES = 32


def _lines(payload: bytes) -> list[str]:
    return [text(line) for line in payload[:4096].replace(b"\r", b"\n").split(b"\n")[:MAX_LINES] if line.strip()]


def dissect_ssh(payload: bytes, context: Context) -> Message:
    line = payload.split(b"\n", 1)[0]
    if not line.startswith(b"SSH-") or len(line) > 255:
        raise Malformed("An SSH identification is one line of at most 255 octets that begins with SSH-.")
    _, _, rest = text(line).partition("-")
    version, _, software = rest.partition("-")
    said = [Said("server" if context.from_server else "ssh-client", text(line))]
    if version.startswith("1.") and version != "1.99":
        said.append(Said("ssh1", version))
    return Message("ssh", {"proto_version": version, "software_version": software}, tuple(said))


def dissect_ftp(payload: bytes, context: Context) -> Message:
    lines = _lines(payload)
    if not lines:
        raise Malformed("An FTP message is a line of text.")
    said: list[Said] = []
    fields: dict[str, Any] = {}
    user = ""
    for line in lines:
        command, _, argument = line.partition(" ")
        command = command.upper()
        if context.from_server:
            code = line[:3]
            fields.setdefault("completion_code", code)
            if code == "220":
                said.append(Said("server", line[4:]))
            elif code == "230":
                said.append(Said("signed-in", "ftp"))
        elif command == "USER":
            user = argument
            fields["command"] = "USER"
            if argument.lower() in ("anonymous", "ftp"):
                said.append(Said("anonymous", "ftp"))
        elif command == "PASS":
            fields["command"] = "PASS"
            said.append(Said("credential", "ftp"))
            if argument and (is_default(user, argument) or (not user and is_default("admin", argument))):
                said.append(Said("default-credential", "ftp"))
        else:
            fields.setdefault("command", command[:16])
    return Message("ftp", fields, tuple(said))


def _telnet_text(payload: bytes) -> tuple[bytes, int]:
    """What is left of a payload without commands (RFC 854), and how many commands there were."""
    shown = bytearray()
    commands = 0
    at = 0
    while at < len(payload):
        if payload[at] != 255:
            shown.append(payload[at])
            at += 1
            continue
        commands += 1
        following = payload[at + 1] if at + 1 < len(payload) else 0
        if following == 255:
            shown.append(255)
            at += 2
        elif 251 <= following <= 254:
            at += 3
        elif following == 250:
            end = payload.find(b"\xff\xf0", at)
            at = end + 2 if end >= 0 else len(payload)
        else:
            at += 2
    return bytes(shown), commands


def dissect_telnet(payload: bytes, context: Context) -> Message:
    shown, commands = _telnet_text(payload)
    said: list[Said] = []
    lowered = shown.lower()
    if context.from_server:
        if b"assword" in lowered:
            said.append(Said("credential", "telnet"))
        banner = text(shown)
        if len(banner) > 3 and b"assword" not in lowered:
            said.append(Said("server", banner[:120]))
        if b"busybox" in lowered:
            said.append(Said("software", "BusyBox"))
    return Message("telnet", {"commands": commands, "text": len(shown)}, tuple(said))


def _greeting(name: str) -> Dissector:
    def dissect(payload: bytes, context: Context) -> Message:
        lines = _lines(payload)
        if not lines:
            raise Malformed(f"A {name} message is a line of text.")
        first = lines[0]
        said: list[Said] = []
        if context.from_server:
            if first.startswith(("220", "+OK", "* OK")):
                said.append(Said("server", first[:120]))
        else:
            upper = first.upper()
            if upper.startswith(("PASS ", "AUTH PLAIN", "AUTH LOGIN")) or " LOGIN " in upper[:24]:
                said.append(Said("credential", name))
            elif upper.startswith(("EHLO ", "HELO ")):
                said.append(Said("mail-name", first[5:]))
        return Message(name, {"line": first[:4] if context.from_server else first.split(" ")[0][:16]}, tuple(said))

    return Dissector(name, (name,), dissect)


SSH = Dissector("ssh", ("ssh",), dissect_ssh)
FTP = Dissector("ftp", ("ftp",), dissect_ftp)
TELNET = Dissector("telnet", ("telnet",), dissect_telnet)
SMTP = _greeting("smtp")
POP3 = _greeting("pop3")
IMAP = _greeting("imap")
