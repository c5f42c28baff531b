"""What the configuration of a system says: accounts, what is started at boot, consoles, kernel options, how it is updated.

Each function takes a path and a text and gives flaws; ``Started`` gathers over the whole tree what no single file tells.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bastide.operations.firmware.entry import Kind
from bastide.operations.firmware.flaws import Found, found
from bastide.operations.firmware.passwords import known_password, scheme_of
from bastide.operations.firmware.unpack.boot import Node
from bastide.operations.firmware.walk import Seen

MAX_HASHES = 8
"""Hashes of one file that default passwords are tried on."""


def accounts(path: str, text: str) -> Iterator[Found]:
    """``passwd`` and ``shadow``."""
    tried = 0
    for line in text.splitlines()[:2000]:
        parts = line.split(":")
        if len(parts) < 3 or not re.fullmatch(r"[A-Za-z_][\w.-]{0,63}\$?", parts[0]):
            continue
        user, field_ = parts[0], parts[1]
        if path.endswith("passwd") and len(parts) >= 7:
            shell = parts[6].strip()
            if parts[2] == "0" and user != "root":
                yield found("account:root:second", path, user=user)
            if field_ == "" and not shell.endswith(("nologin", "false")):
                yield found("account:password:empty", path, user=user)
                continue
        elif field_ == "" and path.endswith(("shadow", "shadow-")):
            yield found("account:password:empty", path, user=user)
            continue
        scheme = scheme_of(field_)
        if scheme in ("locked", "empty", "unknown"):
            continue
        tried += 1
        password = known_password(field_, user) if tried <= MAX_HASHES else None
        if password == "":
            yield found("account:password:empty", path, user=user)
        elif password is not None:
            yield found("account:password:known", path, user=user)
        else:
            yield found("account:password:fixed", path, user=user, scheme=scheme)
        if scheme in ("des", "md5"):
            yield found("account:password:weak-hash", path, user=user, scheme={"des": "DES", "md5": "MD5"}[scheme])


_SERVERS: Final = (
    (re.compile(r"\b(?:in\.)?u?telnetd\b"), "service:telnet", ""),
    (
        re.compile(r"\b(?:vsftpd|proftpd|pure-ftpd|ftpd|bftpd|stupid-ftpd|in\.ftpd|tftpd|in\.tftpd|atftpd)\b"),
        "service:ftp",
        "",
    ),
    (re.compile(r"\b(?:rshd|rlogind|rexecd|in\.rshd|in\.rlogind|in\.rexecd)\b"), "service:remote-shell", ""),
    (
        re.compile(r"\b(adbd|gdbserver|tcf-agent|openocd|nc -l|ncat -l|socat TCP[46]?-LISTEN)\b"),
        "service:debug",
        "what",
    ),
)
_DEBUG_PROGRAMS: Final = frozenset(("gdbserver", "adbd", "tcf-agent", "openocd", "strace", "ltrace", "gdb", "tcpdump"))
_TELNET: Final = frozenset(("telnetd", "in.telnetd", "utelnetd"))


def inittab(path: str, text: str) -> Iterator[Found]:
    """busybox's and SysV's init: a shell on a console without a login, and what is respawned."""
    for line in text.splitlines():
        parts = line.strip().split(":", 3)
        if line.lstrip().startswith("#") or len(parts) < 4:
            continue
        action, command = parts[2], parts[3].strip()
        if action not in ("respawn", "askfirst", "once", "wait", "sysinit", "boot", "bootwait"):
            continue
        program = command.lstrip("-").split(" ")[0]
        if (
            re.search(r"/(?:sh|ash|bash)$", program)
            and action in ("respawn", "askfirst")
            and "-c" not in command.split()
        ):
            yield found("console:shell", path, what=parts[0] or "the system's console")
        elif re.search(
            r"getty\b.*(?:-n\b.*-l\s+/bin/(?:a|ba)?sh|-l\s+/bin/(?:a|ba)?sh|--autologin|-a\s+root)", command
        ):
            yield found("console:shell", path, what=parts[0] or command)
        yield from commands(path, command)


def commands(path: str, text: str) -> Iterator[Found]:
    """Servers that a line or script starts."""
    for line in text.splitlines():
        plain = line.strip()
        if plain.startswith("#") or not plain:
            continue
        for pattern, code, named in _SERVERS:
            if match := pattern.search(plain):
                yield found(code, path, **({named: match[1]} if named else {}))


def ssh(path: str, text: str) -> Iterator[Found]:
    """sshd_config."""
    said = {
        line.split()[0].lower(): line.split()[1].lower()
        for line in text.splitlines()
        if len(line.split()) > 1 and line[0] != "#"
    }
    if said.get("permitrootlogin") == "yes" and said.get("passwordauthentication", "yes") == "yes":
        yield found("ssh:root:password", path)
    if said.get("permitemptypasswords") == "yes":
        yield found("ssh:password:empty", path)


def wifi(path: str, text: str) -> Iterator[Found]:
    """wpa_supplicant.conf and hostapd.conf."""
    if re.search(r"^\s*(?:psk|wpa_passphrase)\s*=\s*\S{8,}", text, re.MULTILINE):
        yield found("secret:wifi", path)


_KERNEL: Final = (
    ("STACKPROTECTOR", "y", "without stack canaries (CONFIG_STACKPROTECTOR)"),
    ("STRICT_KERNEL_RWX", "y", "with code that can be written (CONFIG_STRICT_KERNEL_RWX)"),
    ("STRICT_MODULE_RWX", "y", "with modules whose code can be written (CONFIG_STRICT_MODULE_RWX)"),
    ("HARDENED_USERCOPY", "y", "without checks of copies from programs (CONFIG_HARDENED_USERCOPY)"),
    ("FORTIFY_SOURCE", "y", "without FORTIFY (CONFIG_FORTIFY_SOURCE)"),
    ("SECCOMP", "y", "without system call filters (CONFIG_SECCOMP)"),
    ("STRICT_DEVMEM", "y", "with all memory open to /dev/mem (CONFIG_STRICT_DEVMEM)"),
    ("DEVKMEM", "n", "with /dev/kmem (CONFIG_DEVKMEM)"),
    ("KGDB", "n", "with a debugger (CONFIG_KGDB)"),
    ("PROC_KCORE", "n", "with its memory in /proc/kcore (CONFIG_PROC_KCORE)"),
    ("MODULE_SIG_FORCE", "y", "to load modules that nobody signed (CONFIG_MODULE_SIG_FORCE)"),
)


def kernel_config(path: str, text: str) -> Iterator[Found]:
    """``.config``: what the kernel self-protection project recommends and this one does not have."""
    said = dict(re.findall(r"^CONFIG_(\w+)=(\S+)", text, re.MULTILINE))
    if len(said) < 50:
        return
    modules = said.get("MODULES") == "y"
    for name, wanted, words in _KERNEL:
        if name in ("STRICT_DEVMEM",) and said.get("DEVMEM", "y") != "y":
            continue
        if name.startswith(("STRICT_MODULE", "MODULE_SIG")) and not modules:
            continue
        if (said.get(name, "n") == "y") != (wanted == "y"):
            yield found("kernel:config", path, what=words)


_OPEN_BOOT = re.compile(
    r"(?:^|\s)((?:init=/bin/(?:ba|a)?sh)|single|kgdboc=\S+|kgdbwait|jtag\S*|nosmp_jtag|androidboot\.debuggable=1|enforcing=0)(?:\s|$)"
)
_CONSOLE = re.compile(r"(?:^|\s)console=(tty(?:S|AMA|mxc|O|USB|GS|MSM|LP|SAC|PS|STM|SIF)\w*[^\s]*)")


def boot_arguments(path: str, arguments: str) -> Iterator[Found]:
    """The kernel's command line, from a device tree or a boot script."""
    if match := _OPEN_BOOT.search(arguments):
        yield found("boot:arguments:debug", path, what=match[1])
    if match := _CONSOLE.search(arguments):
        yield found("boot:console", path, what=match[1])


def device_tree(path: str, tree: Node) -> Iterator[Found]:
    """``/chosen``."""
    yield from boot_arguments(path, tree.children.get("chosen", Node("")).text("bootargs"))


def updates(path: str, text: str) -> Iterator[Found]:
    """Configuration of the update mechanisms that devices have: opkg, APT, RAUC, Mender, SWUpdate."""
    name = path.rpartition("/")[2]
    if name == "opkg.conf" and re.search(r"^\s*(?:src|dest)", text, re.MULTILINE):
        if not re.search(r"^\s*option\s+check_signature", text, re.MULTILINE):
            yield found("update:unsigned", path, what="opkg")
    elif "/apt/" in path and re.search(
        r"AllowUnauthenticated\s+\"?true|\[[^\]]*trusted=yes|AllowInsecureRepositories\s+\"?true", text
    ):
        yield found("update:unsigned", path, what="APT")
    elif path.endswith("rauc/system.conf") and "[keyring]" not in text:
        yield found("update:unsigned", path, what="RAUC")
    elif name == "mender.conf" and "ServerURL" in text:
        if "ArtifactVerifyKey" not in text:
            yield found("update:unsigned", path, what="Mender")
        if re.search(r'"ServerURL"\s*:\s*"http://', text):
            yield found("update:clear", path, what="Mender")
    elif name == "swupdate.cfg" and "public-key-file" not in text and "ca-path" not in text:
        yield found("update:unsigned", path, what="SWUpdate")


@dataclass(slots=True)
class Started:
    """What is started at boot, gathered over the tree."""

    present: dict[str, str] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)

    def see(self, seen: Seen) -> None:
        """Notes programs by their name, as files and as links to a program of many names."""
        name = seen.path.rpartition("/")[2]
        placed = "/bin/" in seen.path or "/sbin/" in seen.path
        if placed and name in _TELNET | _DEBUG_PROGRAMS and seen.entry.kind in (Kind.FILE, Kind.LINK):
            self.present.setdefault(name, seen.path)

    def note(self, one: Found) -> None:
        self.started.add(one.flaw.code)

    def rest(self) -> Iterator[Found]:
        """What is there and was not seen to be started."""
        for name, path in sorted(self.present.items()):
            if name in _TELNET:
                if "service:telnet" not in self.started:
                    yield found("service:telnet:present", path)
            elif name in ("gdbserver", "adbd", "tcf-agent", "openocd", "gdb"):
                yield found("service:debug:present", path, what=name)
