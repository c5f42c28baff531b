# ruff: noqa: E501 - the table of flaws reads in one sweep, a line for each
"""Everything that can be found wrong: how bad, what it means, what to do, and which provisions it is evidence for.

Provisions are those of ETSI EN 303 645 V3.1.3 (``EN 303 645 5.1-1``) and of Annex I of Regulation (EU) 2024/2847, the Cyber
Resilience Act (``CRA I.1(2)(d)``).
"""

from dataclasses import dataclass
from typing import Final

from bastide.core.finding import Severity

_C, _H, _M, _L, _I = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW, Severity.INFO


@dataclass(frozen=True, slots=True)
class Flaw:
    """``message`` is what was found; ``advice`` what to do next."""

    code: str
    severity: Severity
    message: str
    advice: str
    provisions: tuple[str, ...]


_PASSWORDS = ("EN 303 645 5.1-1", "CRA I.1(2)(b)", "CRA I.1(2)(d)")
_SURFACE = ("EN 303 645 5.6-1", "EN 303 645 5.6-5", "CRA I.1(2)(j)")
_DEBUG = ("EN 303 645 5.6-4", "CRA I.1(2)(j)")
_HARDENING = ("EN 303 645 5.6-6", "CRA I.1(2)(k)")
_SECRETS = ("EN 303 645 5.4-3", "CRA I.1(2)(e)")
_STORAGE = ("EN 303 645 5.4-1", "CRA I.1(2)(e)")
_CRYPTO = ("EN 303 645 5.5-1", "CRA I.1(2)(e)")
_BOOT = ("EN 303 645 5.7-1", "CRA I.1(2)(f)")
_UPDATE = ("EN 303 645 5.3-7", "EN 303 645 5.3-9", "CRA I.1(2)(c)")
_RIGHTS = ("EN 303 645 5.6-7", "CRA I.1(2)(d)")

FLAWS: Final = {
    flaw.code: flaw
    for flaw in (
        Flaw("account:password:empty", _C, "Anybody signs in as {user} without a password.", "Lock the account, or set a password for each device on its first start.", _PASSWORDS),
        Flaw("account:password:known", _C, "The password of {user} is a default that everybody knows.", "Give each device a password of its own, or none and a key.", _PASSWORDS),
        Flaw("account:password:fixed", _H, "The account {user} has a password that is the same on every device ({scheme}).", "Set it for each device on its first start, or lock the account.", _PASSWORDS),
        Flaw("account:password:weak-hash", _M, "The password of {user} is kept as {scheme}, which is tried out quickly.", "Use yescrypt, or SHA-512 with more rounds.", ("EN 303 645 5.1-3", "CRA I.1(2)(e)")),
        Flaw("account:root:second", _H, "{user} has the user id 0: it is root under another name.", "Give it an id of its own.", _RIGHTS),
        Flaw("service:telnet", _H, "Telnet is started at boot: passwords and all else travel in the clear.", "Do not start it; use SSH with keys where somebody must sign in.", _SURFACE),
        Flaw("service:telnet:present", _M, "A Telnet server is in the image, although nothing was seen that starts it.", "Leave it out: what is not there cannot be switched on.", _SURFACE),
        Flaw("service:ftp", _M, "An FTP or TFTP server is started at boot.", "Do not start it; hand files over HTTPS or SSH.", _SURFACE),
        Flaw("service:remote-shell", _C, "A remote shell without a password (rsh, rlogin, rexec) is started at boot.", "Remove it.", _SURFACE),
        Flaw("service:debug", _H, "The debug service {what} is started at boot.", "Build releases without it.", _DEBUG),
        Flaw("service:debug:present", _M, "The debug program {what} is in the image.", "Build releases without it.", _DEBUG),
        Flaw("ssh:root:password", _M, "SSH lets root sign in with a password.", "PermitRootLogin no, or prohibit-password.", _PASSWORDS),
        Flaw("ssh:password:empty", _C, "SSH lets accounts with an empty password in.", "PermitEmptyPasswords no.", _PASSWORDS),
        Flaw("console:shell", _H, "Whoever reaches the console ({what}) has a shell without signing in.", "Start a login there, or nothing.", _DEBUG),
        Flaw("boot:arguments:debug", _H, "The boot arguments open the device: {what}.", "Take it out of the release's device tree or boot script.", _DEBUG),
        Flaw("boot:console", _L, "The kernel speaks to a serial console ({what}).", "Leave console= out of releases, or close the pins.", _DEBUG),
        Flaw("boot:uimage:unsigned", _H, "A legacy U-Boot image, which cannot be signed.", "Use a signed FIT, and let U-Boot verify it.", _BOOT),
        Flaw("boot:fit:unsigned", _H, "A FIT image with a configuration that nobody signed.", "Sign its configurations (mkimage -k), with the key in U-Boot marked required.", _BOOT),
        Flaw("boot:mcuboot:unsigned", _H, "An MCUboot image without a signature.", "Sign it with imgtool, and build MCUboot to demand it.", _BOOT),
        Flaw("boot:mcuboot:weak", _L, "An MCUboot image signed with {what}.", "Use Ed25519, ECDSA P-256 or RSA-3072.", _CRYPTO),
        Flaw("elf:nx", _H, "Its stack can be executed.", "Link with -z noexecstack; look for assembler files without .note.GNU-stack.", _HARDENING),
        Flaw("elf:pie", _M, "It is not position-independent: its addresses are known beforehand.", "Build with -fPIE -pie.", _HARDENING),
        Flaw("elf:relro", _L, "Its tables of addresses stay writable ({what} RELRO).", "Link with -Wl,-z,relro,-z,now.", _HARDENING),
        Flaw("elf:canary", _M, "It was built without stack canaries.", "Build with -fstack-protector-strong.", _HARDENING),
        Flaw("elf:fortify", _L, "It calls functions that could be checked (memcpy, sprintf), unchecked.", "Build with -O2 -D_FORTIFY_SOURCE=2 or 3.", _HARDENING),
        Flaw("elf:cfi", _I, "Without control-flow integrity (BTI or IBT).", "Build with -mbranch-protection=standard or -fcf-protection.", _HARDENING),
        Flaw("elf:rpath", _M, "It looks for libraries where others may write: {what}.", "Remove the RPATH, or make it an absolute one that only root writes.", _HARDENING),
        Flaw("elf:symbols", _I, "It was not stripped: names inside help whoever takes it apart.", "Strip releases, and keep the symbols apart.", _HARDENING),
        Flaw("kernel:config", _M, "The kernel was built {what}.", "Set it as the kernel self-protection project recommends.", _HARDENING),
        Flaw("secret:private-key", _C, "A private key ({what}) that every device of this image shares.", "Make a key on each device; take this one out and revoke what it is for.", _SECRETS),
        Flaw("secret:private-key:locked", _M, "A private key behind a passphrase, the same on every device.", "Make a key on each device.", _SECRETS),
        Flaw("secret:host-key", _C, "An SSH host key that every device of this image shares.", "Make it on the first start.", _SECRETS),
        Flaw("secret:token", _C, "A token for {what}, with the form of a real one.", "Revoke it, and give each device a right of its own.", _SECRETS),
        Flaw("secret:wifi", _M, "A Wi-Fi password in a configuration file.", "Have it set for each device.", _SECRETS),
        Flaw("certificate:expired", _M, "A certificate that ended on {what}.", "Replace it; take authorities that have ended out of the trust store.", _CRYPTO),
        Flaw("certificate:weak", _M, "A certificate with {what}.", "Replace it by one with SHA-256 and ECDSA P-256, Ed25519 or RSA-3072.", _CRYPTO),
        Flaw("file:world-writable", _M, "Anybody on the device may change it.", "Take the right to write from others (chmod o-w).", _RIGHTS),
        Flaw("file:setuid", _I, "It runs as its owner ({what}), whoever starts it.", "Keep only those that must; give others a capability.", _RIGHTS),
        Flaw("file:setuid:script", _H, "A script or a shell that runs as its owner, whoever starts it.", "Take the setuid bit away.", _RIGHTS),
        Flaw("update:unsigned", _C, "{what} takes updates whose signature nobody checks.", "Switch the check on, with a key of yours in the image.", _UPDATE),
        Flaw("update:clear", _M, "{what} fetches over HTTP: others see what is fetched, and may hold it back.", "Use HTTPS.", ("EN 303 645 5.3-7", "CRA I.1(2)(e)")),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A flaw at a path."""

    flaw: Flaw
    path: str
    message: str


def found(code: str, path: str, **what: str) -> Found:
    """A flaw of the table, its message filled in."""
    flaw = FLAWS[code]
    return Found(flaw, path, flaw.message.format(**{name: value[:160] for name, value in what.items()}))
