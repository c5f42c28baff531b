"""Hostile bytes from good ones. Seeded, so that a run can be repeated."""

from collections.abc import Iterator
from random import Random

INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff\xff\xff",
    b"\n",
    b'"',
)


def mutations(seeds: tuple[bytes, ...], random: Random) -> Iterator[bytes]:
    """Endless: seeds, then cut, flipped, spliced, repeated and overwritten ones."""
    pool = [seed for seed in seeds if seed] or [b"\x00"]
    yield from seeds
    yield b""
    while True:
        data = bytearray(random.choice(pool))
        for _ in range(random.randint(1, 8)):
            data = _mutated(data, pool, random)
        yield bytes(data)


def _mutated(data: bytearray, pool: list[bytes], random: Random) -> bytearray:
    at = random.randrange(len(data) + 1)
    match random.randrange(7):
        case 0:
            return data[:at]
        case 1 if data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        case 2:
            data[at:at] = random.choice(INTERESTING)
        case 3:
            other = random.choice(pool)
            data[at:] = other[random.randrange(len(other) + 1) :]
        case 4:
            data[at:at] = data[at : at + random.randrange(64)] * random.randrange(1, 5)
        case 5:
            value = random.choice(INTERESTING)
            data[at : at + len(value)] = value
        case _:
            del data[at : at + random.randrange(1, 16)]
    return data[:65536]
