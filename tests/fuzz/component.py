"""Version ranges, as feeds and people write them."""

from bastide.core.error import Unreadable
from bastide.operations.component import vers
from bastide.operations.component.version import SCHEMES, compare
from tests.fuzz import Target


def _range(data: bytes) -> None:
    text = data.decode(errors="replace")
    vers.contains(vers.parse(text), text[-12:])


def _versions(data: bytes) -> None:
    one, _, other = data.decode(errors="replace").partition("|")
    for scheme in SCHEMES.values():
        compare(scheme, one, other)


def _native(data: bytes) -> None:
    scheme, _, text = data.decode(errors="replace").partition(":")
    try:
        vers.from_native(scheme, text)
    except Unreadable:
        return


TARGETS = [
    Target("vers", _range, (b"vers:npm/>=1.0.0|<2.0.0", b"vers:deb/<1%3A2.3-4|>=2:0", b"vers:all/*")),
    Target("versions", _versions, (b"1.2.3-rc.1|1.2.3", b"1:2.3~rc1-4|2.3", b"1.0.2zg|3.0.0")),
    Target("native-range", _native, (b"npm:^1.2 || 2.x", b"gem:~> 2.0.8", b"maven:[1.0,2.0)", b"pypi:>=1,<2,!=1.5")),
]
