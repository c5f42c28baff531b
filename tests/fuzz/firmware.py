"""Everything that opens or reads a part of a firmware image."""

import gzip
import time

from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.check import check_image
from bastide.operations.firmware.elf import read_elf
from bastide.operations.firmware.packages import apk, dpkg
from bastide.operations.firmware.unpack import boot
from tests.domain.operations.firmware.build import NOW, device_tree, elf, mcuboot, newc, uimage
from tests.fuzz import Target

TREE = newc(("etc/passwd", b"root::0:0::/:/bin/sh", 0o100644), ("bin/a", elf(), 0o100755))


def _check(data: bytes) -> object:
    return check_image("x", data, Budget(time.monotonic, seconds=10.0, octets=64 << 20), NOW)


def _device_tree(data: bytes) -> object:
    try:
        return boot.device_tree(data)
    except Damaged:
        return None


TARGETS = [
    Target("firmware-image", _check, (gzip.compress(TREE), uimage(TREE), mcuboot(tlvs=((0x24, bytes(64)),)), TREE)),
    Target("firmware-elf", read_elf, (elf(), elf(kind=2, symbols=True, run_path=b"/tmp"))),
    Target("firmware-device-tree", _device_tree, (device_tree({"chosen": {"bootargs": b"console=ttyS0\0"}}),)),
    Target(
        "firmware-dpkg", lambda data: dpkg(data.decode(errors="replace")), (b"Package: a\nVersion: 1\n\nPackage: b\n",)
    ),
    Target("firmware-apk", lambda data: apk(data.decode(errors="replace")), (b"P:a\nV:1\nF:lib\nR:x\n\n",)),
]
