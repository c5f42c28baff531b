"""The child's side: gives up what parsing does not need, for good, and says what the kernel would not take.

Four layers, each of which holds alone: namespaces (no network interfaces), resource limits, Landlock (no files), and a
system call filter (an allow list; no new executable memory). A kernel without one of them costs that layer, not the scan.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_DUMPABLE = 1, 38, 22, 4
_SECCOMP_FILTER = 2
_NEWUSER, _NEWNET, _NEWIPC = 0x10000000, 0x40000000, 0x08000000
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
_VERSION_FLAG = 1

# seccomp: actions, and the offsets in struct seccomp_data (linux/seccomp.h)
_ALLOW, _ERRNO_EPERM, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGUMENT_2_AT = 0, 4, 32
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_PROT_EXEC = 4

_SYSTEM_CALLS = {
    # name: (x86_64, aarch64): what CPython and numpy use to read, compute, write a pipe and end.
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "preadv2": (327, 286),
    "sched_yield": (24, 124),
    "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172), "exit": (60, 93),
    "gettimeofday": (96, 169), "getrusage": (98, 165), "gettid": (186, 178), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "clock_gettime": (228, 113), "clock_nanosleep": (230, 115),
    "exit_group": (231, 94), "tgkill": (234, 131), "sigaltstack": (131, 132), "getrandom": (318, 278),
    "restart_syscall": (219, 128), "membarrier": (324, 283), "rseq": (334, 293), "clock_getres": (229, 114),
}  # fmt: skip
_MAPPING_CALLS = {"mmap": (9, 222), "mprotect": (10, 226)}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def separate() -> list[str]:
    """First, before threads exist: die with the parent, and no network. Returns what was not possible, in words."""
    missing: list[str] = []
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if _libc.unshare(_NEWUSER | _NEWNET | _NEWIPC) != 0:
        missing.append(f"own namespaces: {os.strerror(ctypes.get_errno())}")
    return missing


def bound(memory_bytes: int, cpu_seconds: int) -> None:
    """Resource limits. Reaching the memory limit is a MemoryError, reaching the time limit the end of the process."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lock_down() -> list[str]:
    """Last, when all is imported and compiled: no files, no new processes, no other system calls. Returns what was not
    possible, in words."""
    missing: list[str] = []
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return [f"no-new-privileges: {os.strerror(ctypes.get_errno())}; so no Landlock and no system call filter"]
    # In this order: the rule set needs a descriptor, and the filter refuses to set limits.
    layers: tuple[tuple[str, Callable[[], str]], ...] = (
        ("Landlock", _landlock),
        ("no new descriptors", _no_descriptors),
        ("system call filter", _seccomp),
    )
    for name, layer in layers:
        reason = layer()
        if reason:
            missing.append(f"{name}: {reason}")
    return missing


def _landlock() -> str:
    """A rule set that handles every right and grants none."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        return os.strerror(ctypes.get_errno())
    files = (1 << 13) - 1
    if version >= 2:
        files |= 1 << 13  # refer
    if version >= 3:
        files |= 1 << 14  # truncate
    if version >= 5:
        files |= 1 << 15  # ioctl on devices
    attributes = struct.pack("=Q", files)
    if version >= 4:
        attributes += struct.pack("=Q", 0b11)  # bind and connect TCP
    if version >= 6:
        attributes += struct.pack("=Q", 0b11)  # abstract sockets, signals to the outside
    rules = _libc.syscall(
        _LANDLOCK_CREATE, ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    if rules < 0:
        return os.strerror(ctypes.get_errno())
    failed = _libc.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(rules), ctypes.c_uint32(0)) != 0
    reason = os.strerror(ctypes.get_errno()) if failed else ""
    os.close(rules)
    return reason


def _no_descriptors() -> str:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    return ""


def filter_program(machine: str) -> bytes | None:
    """The classic BPF program of the allow list for an architecture; None where its numbers are not known here."""
    if machine not in _ARCHITECTURES:
        return None
    column, architecture = _ARCHITECTURES[machine]
    program: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for numbers in _MAPPING_CALLS.values():
        # Executable memory is refused: nothing is compiled any more, and nobody else shall.
        program += [
            (_EQUAL, 0, 4, numbers[column]),
            (_LOAD, 0, 0, _ARGUMENT_2_AT),
            (_ANY_BIT, 0, 1, _PROT_EXEC),
            (_RETURN, 0, 0, _ERRNO_EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    for numbers in _SYSTEM_CALLS.values():
        program += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ALLOW)]
    program.append((_RETURN, 0, 0, _ERRNO_EPERM))
    return b"".join(struct.pack("=HBBI", *line) for line in program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _seccomp() -> str:
    program = filter_program(platform.machine())
    if program is None:
        return f"no list of system calls for {platform.machine()}"
    held = ctypes.create_string_buffer(program, len(program))
    described = _Program(len(program) // 8, ctypes.addressof(held))
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(described), 0, 0) != 0:
        return os.strerror(ctypes.get_errno())
    return ""
