"""What boot loaders and makers wrap images in: uImage, device trees and FIT, Android sparse, Intel HEX, UF2, MCUboot, kernels."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.entry import Entry, Kind, clean


def is_uimage(data: bytes) -> bool:
    return data[:4] == b"\x27\x05\x19\x56" and len(data) >= 64


def uimage(data: bytes, budget: Budget) -> Iterator[Entry]:
    """U-Boot's legacy image: a header of 64 octets; a multi-file image (type 4) has a list of sizes before its parts."""
    size = struct.unpack_from(">I", data, 12)[0]
    name = data[32:64].split(b"\0")[0].decode("utf-8", "replace") or "image"
    body = data[64 : 64 + size]
    if len(body) < size:
        budget.cut(name, "it is cut off")
    sizes: list[int] = []
    if data[30] == 4:
        at = 0
        while at + 4 <= len(body) and (one := struct.unpack_from(">I", body, at)[0]):
            sizes.append(one)
            at += 4
            if len(sizes) > 64:
                raise Damaged("the list of parts has no end")
        at += 4
        for number, one in enumerate(sizes):
            budget.count()
            yield Entry(clean(f"part-{number}"), Kind.FILE, content=body[at : at + one])
            at += (one + 3) // 4 * 4
        return
    budget.count()
    yield Entry(clean(name), Kind.FILE, content=body)


@dataclass(slots=True)
class Node:
    """A node of a flattened device tree (Devicetree Specification 0.4, 5)."""

    name: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)

    def text(self, name: str) -> str:
        return self.properties.get(name, b"").rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def is_dtb(data: bytes) -> bool:
    return data[:4] == b"\xd0\x0d\xfe\xed" and len(data) >= 40


def device_tree(data: bytes) -> Node:
    """The whole tree. ``Damaged`` where it does not follow its form."""
    try:
        _, size, structure, strings = struct.unpack_from(">IIII", data)
        root, stack, at, count = Node(""), [], structure, 0
        stack.append(root)
        top: Node | None = None
        while at + 4 <= min(size, len(data)):
            (token,) = struct.unpack_from(">I", data, at)
            at += 4
            count += 1
            if count > 2_000_000 or len(stack) > 64:
                raise Damaged("the device tree has no end")
            if token == 1:
                end = data.index(b"\0", at)
                made = Node(data[at:end].decode("utf-8", "replace"))
                at = (end + 4) // 4 * 4
                stack[-1].children[made.name] = made
                top = top or made
                stack.append(made)
            elif token == 2:
                stack.pop()
                if len(stack) == 1:
                    break
            elif token == 3:
                length, named = struct.unpack_from(">II", data, at)
                end = data.index(b"\0", strings + named)
                stack[-1].properties[data[strings + named : end].decode("utf-8", "replace")] = data[
                    at + 8 : at + 8 + length
                ]
                at = (at + 8 + length + 3) // 4 * 4
            elif token == 9:
                break
            elif token != 4:
                raise Damaged(f"the device tree has a token {token}")
        if top is None:
            raise Damaged("the device tree is empty")
        return top
    except (struct.error, ValueError, IndexError) as error:
        raise Damaged(f"the device tree is cut off: {error}") from error


def is_fit(data: bytes) -> bool:
    return is_dtb(data) and data.find(b"configurations\0", 0, 1 << 22) >= 0 and data.find(b"images\0", 0, 1 << 22) >= 0


def fit(data: bytes, budget: Budget) -> Iterator[Entry]:
    """The images of a FIT (U-Boot, doc/usage/fit); data may be inside, behind, or at a place."""
    tree = device_tree(data)
    total = struct.unpack_from(">I", data, 4)[0]
    for name, image in tree.children.get("images", Node("")).children.items():
        budget.count()
        content = image.properties.get("data", b"")
        place, size = image.properties.get("data-offset"), image.properties.get("data-size")
        if place is not None and size is not None:
            start = (total + 3) // 4 * 4 + int.from_bytes(place, "big")
            content = data[start : start + int.from_bytes(size, "big")]
        budget.take(len(content))
        yield Entry(clean(name), Kind.FILE, content=content)


def fit_is_signed(data: bytes) -> bool:
    """True where each configuration has a signature node (doc/usage/fit/signature)."""
    configurations = device_tree(data).children.get("configurations", Node("")).children.values()
    return bool(configurations) and all(
        any(child.startswith("signature") for child in configuration.children) for configuration in configurations
    )


def is_sparse(data: bytes) -> bool:
    return data[:4] == b"\x3a\xff\x26\xed"


def sparse(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Android's sparse image (libsparse, sparse_format.h), blown up within the bound."""
    head, chunk_head, block, blocks, chunks = struct.unpack_from("<HHIII", data, 8)
    if block == 0 or block % 4 or head < 28 or chunk_head < 12:
        raise Damaged("the sparse header makes no sense")
    most = budget.most(len(data))
    if blocks * block > most:
        budget.cut("image", f"it blows up to more than {most >> 20:,} MiB")
    at, parts, size = head, [], 0
    for _ in range(chunks):
        if at + chunk_head > len(data):
            budget.cut("image", "it is cut off")
            break
        kind, _, count, length = struct.unpack_from("<HHII", data, at)
        body = data[at + chunk_head : at + length]
        at += max(length, chunk_head)
        octets = min(count * block, most - size)
        if octets <= 0 and kind != 0xCAC4:
            break
        if kind == 0xCAC1:
            parts.append(body[:octets])
        elif kind == 0xCAC2:
            parts.append((body[:4] * (octets // 4 + 1))[:octets])
        elif kind == 0xCAC3:
            parts.append(bytes(octets))
        else:
            continue
        size += octets
    budget.count()
    budget.take(size)
    yield Entry("image", Kind.FILE, content=b"".join(parts))


def is_intel_hex(data: bytes) -> bool:
    head = data[:11]
    return (
        head[:1] == b":"
        and all(sign in b"0123456789ABCDEFabcdef" for sign in head[1:11])
        and data[7:9] in (b"00", b"02", b"04")
    )


def intel_hex(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Intel's hexadecimal object format, revision A: one file for each run of addresses that touch."""
    base = 0
    runs: list[tuple[int, bytearray]] = []
    for number, line in enumerate(data.splitlines()):
        line = line.strip()
        if not line:
            continue
        try:
            record = bytes.fromhex(line[1:].decode("ascii"))
        except ValueError as error:
            raise Damaged(f"line {number + 1} of the Intel HEX is none") from error
        if line[:1] != b":" or len(record) < 5 or len(record) != 5 + record[0] or sum(record) & 0xFF:
            raise Damaged(f"line {number + 1} of the Intel HEX does not add up")
        address, kind, body = int.from_bytes(record[1:3], "big"), record[3], record[4:-1]
        if kind == 0:
            at = base + address
            if runs and runs[-1][0] + len(runs[-1][1]) == at:
                runs[-1][1].extend(body)
            else:
                runs.append((at, bytearray(body)))
        elif kind == 2:
            base = int.from_bytes(body, "big") << 4
        elif kind == 4:
            base = int.from_bytes(body, "big") << 16
        elif kind == 1:
            break
    for at, content in runs[:10_000]:
        budget.count()
        budget.take(len(content))
        yield Entry(f"at-{at:08x}", Kind.FILE, content=bytes(content))


def is_uf2(data: bytes) -> bool:
    return data[:8] == b"UF2\n\x57\x51\x5d\x9e"


def uf2(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Microsoft's UF2: blocks of 512 octets with up to 476 of content and its address."""
    runs: list[tuple[int, bytearray]] = []
    for at in range(0, len(data) - 511, 512):
        if data[at : at + 8] != b"UF2\n\x57\x51\x5d\x9e":
            budget.cut("uf2", f"the block at {at} is none")
            continue
        flags, address, size = struct.unpack_from("<III", data, at + 8)
        if flags & 1 or size > 476:
            continue
        body = data[at + 32 : at + 32 + size]
        if runs and runs[-1][0] + len(runs[-1][1]) == address:
            runs[-1][1].extend(body)
        else:
            runs.append((address, bytearray(body)))
    for address, content in runs[:10_000]:
        budget.count()
        budget.take(len(content))
        yield Entry(f"at-{address:08x}", Kind.FILE, content=bytes(content))


def is_mcuboot(data: bytes) -> bool:
    return data[:4] == b"\x3d\xb8\xf3\x96" and len(data) >= 32


_SIGNATURES = {
    0x20: "RSA-2048",
    0x21: "ECDSA-P224",
    0x22: "ECDSA-P256",
    0x23: "RSA-3072",
    0x24: "Ed25519",
    0x25: "ECDSA-P384",
}


def mcuboot(data: bytes) -> tuple[str, str]:
    """(version, how it is signed; empty for not at all), from header and TLVs (MCUboot, docs/design.md)."""
    header, _, size = struct.unpack_from("<HHI", data, 8)
    major, minor, revision, build = struct.unpack_from("<BBHI", data, 20)
    version = f"{major}.{minor}.{revision}" + (f"+{build}" if build else "")
    at = header + size
    signed = ""
    for _ in range(2):
        if at + 4 > len(data):
            break
        magic, total = struct.unpack_from("<HH", data, at)
        if magic not in (0x6907, 0x6908):
            break
        entry, end = at + 4, min(at + total, len(data))
        while entry + 4 <= end:
            kind, length = struct.unpack_from("<HH", data, entry)
            signed = _SIGNATURES.get(kind, signed)
            entry += 4 + length
        at += max(total, 4)
        if magic != 0x6908:
            break
    return version, signed
