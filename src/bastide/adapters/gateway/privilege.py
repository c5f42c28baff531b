"""Giving up what a process does not need, for good (capabilities(7), prctl(2))."""

import ctypes
import os
import pwd
import signal
import struct

from bastide.core.error import Unavailable

NET_ADMIN = 12
_libc = ctypes.CDLL(None, use_errno=True)
_SETSID_DEATH, _NO_NEW_PRIVS, _KEEP_CAPS, _BOUND_DROP, _AMBIENT = 1, 38, 8, 24, 47
_VERSION_3 = 0x20080522
_LAST = 40


def die_with_parent() -> None:
    _libc.prctl(_SETSID_DEATH, signal.SIGKILL, 0, 0, 0)


def keep_only(capabilities: tuple[int, ...]) -> None:
    """Root in name, with these capabilities alone; nothing that is started can have more."""
    for one in range(_LAST + 1):
        if one not in capabilities:
            _libc.prctl(_BOUND_DROP, one, 0, 0, 0)
    bits = sum(1 << one for one in capabilities)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", _VERSION_3, 0)
    data = struct.pack("=6I", low, low, 0, high, high, 0)
    _must(_libc.capset(header, data), "capabilities")
    _must(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no-new-privileges")


def become(user: str) -> None:
    """Another user for good, without any capability."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise Unavailable(f"There is no user {user}; set BASTIDE_GATEWAY_USER.", code="gateway:user:missing") from error
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    _must(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no-new-privileges")


def _must(result: int, what: str) -> None:
    if result:
        raise Unavailable(
            f"The process cannot give up its privileges ({what}: {os.strerror(ctypes.get_errno())}).",
            code="gateway:privilege",
        )
