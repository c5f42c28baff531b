"""The order of versions, by each ecosystem's own rules, or *unknown* and why: an order is never guessed.

A scheme is a row of :data:`SCHEMES`: the form that its versions have, and how one becomes a key that sorts. A version that
does not have the form has no place in the order, even where a lenient parser would find one (``1.2.3 SP1`` is no Semantic
Versioning, and reading it as a pre-release would put it *before* 1.2.3).

Sources: Semantic Versioning 2.0.0 (11), PEP 440, Debian policy 5.6.12, rpmvercmp, apk-tools' version.c, Gentoo PMS 3, Maven's
ComparableVersion, RubyGems' Gem::Version, NuGet's and Composer's own rules (PHP ``version_compare``), OpenSSL's letters.
The orders of distributions and package managers are univers'; the forms, Semantic Versioning and Composer are ours.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from packaging.version import Version as Pep440
from univers import versions as univers

from bastide.core.error import Unreadable
from bastide.operations.component.vendor import vendor_version

LONGEST = 256  # characters; the longest real ones (Go pseudo-versions, Debian's with git hashes) stay under 100


class Order(StrEnum):
    """How one version stands to another: three-valued, ``unknown`` where at least one has no place in the order."""

    BEFORE = "<"
    SAME = "="
    AFTER = ">"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``because`` is a sentence where the order is unknown, else empty."""

    order: Order
    because: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version stands: ``key`` sorts among keys of one scheme; None where it has no place, and ``because`` says why."""

    key: Any
    because: str = ""

    @property
    def known(self) -> bool:
        return self.key is not None


@dataclass(frozen=True, slots=True)
class Scheme:
    """One ecosystem's order: ``form`` is what its versions look like, ``says`` the same in words."""

    name: str
    form: re.Pattern[str]
    key: Callable[[str], Any]
    says: str


def _semver(text: str) -> tuple[Any, ...]:
    core, _, _ = text.removeprefix("v").partition("+")
    numbers, dash, before = core.partition("-")
    major, minor, patch = (*(int(number) for number in numbers.split(".")), 0, 0)[:3]
    # A pre-release stands before its release; numbers before words, fewer identifiers before more (11.4).
    identifiers = tuple((0, int(one), "") if one.isdigit() else (1, 0, one) for one in before.split("."))
    return (major, minor, patch, (0, identifiers) if dash else (1, ()))


_COMPOSER_STAGE = {"dev": 0, "alpha": 1, "a": 1, "beta": 2, "b": 2, "rc": 3, "": 4, "patch": 5, "pl": 5, "p": 5}
_COMPOSER = re.compile(
    r"[vV]?(\d{1,18}(?:\.\d{1,18}){0,3})(?:[._-]?(stable|beta|b|rc|alpha|a|patch|pl|p)(?:[.-]?(\d{1,18}(?:[.-]?\d{1,18}){0,8}))?)?"
    r"([.-]?dev)?(?:\+[0-9A-Za-z.-]+)?",
    re.IGNORECASE | re.ASCII,
)


def _composer(text: str) -> tuple[Any, ...]:
    found = _COMPOSER.fullmatch(text)
    if found is None:
        raise ValueError(text)
    numbers = tuple(int(number) for number in found[1].split("."))
    stage = (found[2] or "").lower().replace("stable", "")
    count = tuple(int(number) for number in re.split(r"[.-]", found[3])) if found[3] else ()
    # composer/semver pads to four numbers; "-dev" of a stage stands before it.
    return (*(*numbers, 0, 0, 0)[:4], _COMPOSER_STAGE[stage], count, 0 if found[4] else 1)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in text.removeprefix("v").split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return (*parts,)


def _leading_numbers(text: str) -> tuple[int, ...]:
    # vers-spec's intdot: what follows the numbers has no part in the order.
    return _numbers(re.match(r"[\d.]*\d", text, re.ASCII)[0])  # type: ignore[index]


def _as(kind: type[Any]) -> Callable[[str], Any]:
    return lambda text: kind(text)


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


_BEFORE = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = _form(
    rf"v?\d{{1,18}}(\.\d{{1,18}}){{0,2}}(-{_BEFORE}(?:\.{_BEFORE})*)?(\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_SEMVER_SAYS = "a semantic version, such as 1.2.3 or 1.2.3-rc.1"
_DEBIAN = _form(r"(\d+:)?\d[A-Za-z0-9.+~:-]*")

SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        *(
            Scheme(name, _SEMVER, _semver, _SEMVER_SAYS)
            for name in ("semver", "npm", "golang", "cargo", "hex", "swift", "pub", "github", "apache", "mozilla", "mattermost")
        ),
        Scheme("pypi", _form(r"\s*[vV]?[0-9][0-9A-Za-z.!+_-]*\s*"), Pep440, "a PEP 440 version, such as 1.2.3 or 1.2rc1"),
        Scheme("deb", _DEBIAN, _as(univers.DebianVersion), "a Debian version, such as 1:2.3-4"),
        Scheme(
            "rpm",
            _form(r"(\d+:)?[A-Za-z0-9._+~^]+(-[A-Za-z0-9._+~^]+)?"),
            _as(univers.RpmVersion),
            "an RPM version, such as 1:2.3-4.el9",
        ),
        Scheme("apk", _form(r"\d[A-Za-z0-9._-]*"), _as(univers.AlpineLinuxVersion), "an Alpine version, such as 1.2.3_rc1-r0"),
        Scheme("ebuild", _form(r"\d[A-Za-z0-9._-]*"), _as(univers.GentooVersion), "a Gentoo version, such as 1.2.3_p1-r2"),
        Scheme("alpm", _form(r"(\d+:)?[A-Za-z0-9._+~]+(-[0-9.]+)?"), _as(univers.ArchLinuxVersion), "a pacman version"),
        Scheme("maven", _form(r"[0-9A-Za-z][0-9A-Za-z._+-]*"), _as(univers.MavenVersion), "a Maven version"),
        Scheme("nuget", _form(r"[vV]?\d[0-9A-Za-z.+-]*"), _as(univers.NugetVersion), "a NuGet version, such as 1.2.3.4-beta"),
        Scheme("gem", _form(r"\d[0-9A-Za-z.-]*"), _as(univers.RubygemsVersion), "a RubyGems version, such as 1.2.3.pre1"),
        Scheme("conan", _form(r"[0-9A-Za-z][0-9A-Za-z._+*-]*"), _as(univers.ConanVersion), "a Conan version"),
        Scheme("openssl", _form(r"v?\d[0-9A-Za-z.-]*"), _as(univers.OpensslVersion), "an OpenSSL version, such as 1.1.1w"),
        Scheme("nginx", _form(r"\d{1,9}\.\d{1,9}\.\d{1,9}"), _semver, "an nginx version, such as 1.25.3"),
        Scheme("composer", _COMPOSER, _composer, "a Composer version, such as 1.2.3-beta2"),
        Scheme("intdot", _form(r"\d{1,18}(\.\d{1,18}){0,31}([^\d.].*)?"), _leading_numbers, "numbers with dots"),
        Scheme("generic", _form(r"v?\d{1,18}(\.\d{1,18}){0,31}"), _numbers, "numbers with dots (no more is known of the scheme)"),
        Scheme(
            "datetime",
            _form(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
            _as(univers.DatetimeVersion),
            "a time with its zone (RFC 3339)",
        ),
        Scheme("vendor", re.compile(r"[^<>=]*\d[^<>=]*"), vendor_version, "a version with a number in front"),
        Scheme("lexicographic", re.compile(r".+", re.DOTALL), lambda text: text.encode(), "any text"),
    )
}  # fmt: skip

# Other names for the same order: purl types, OSV ecosystems (lower case), vers-spec's and distributions' words.
_ALIASES = {
    "alpine": "apk", "alpine linux": "apk", "wolfi": "apk", "chainguard": "apk", "apkv2": "apk",
    "debian": "deb", "dpkg": "deb", "ubuntu": "deb", "opkg": "deb", "raspbian": "deb", "echo": "deb",
    "redhat": "rpm", "red hat": "rpm", "rocky linux": "rpm", "almalinux": "rpm", "suse": "rpm", "opensuse": "rpm",
    "mageia": "rpm", "openeuler": "rpm", "azure linux": "rpm",
    "gentoo": "ebuild", "portage": "ebuild", "arch": "alpm", "archlinux": "alpm",
    "pep440": "pypi", "python": "pypi", "go": "golang", "rubygems": "gem", "ruby": "gem", "packagist": "composer",
    "crates.io": "cargo", "conancenter": "conan", "swifturl": "swift", "github actions": "github", "bitnami": "semver",
    "node": "npm",
}  # fmt: skip


def scheme_named(name: str) -> Scheme:
    """The scheme of that name or alias. ``Unreadable`` (``version:scheme``) where there is none."""
    folded = name.strip().lower()
    folded = folded.partition(":")[0] if folded not in SCHEMES else folded  # OSV: "Debian:12"
    scheme = SCHEMES.get(_ALIASES.get(folded, folded))
    if scheme is None:
        raise Unreadable(
            f"{name!r} is no version scheme that Bastide knows; use one of {', '.join(sorted(SCHEMES))}.",
            code="version:scheme",
        )
    return scheme


@lru_cache(maxsize=65_536)
def place(scheme: Scheme, text: str) -> Place:
    """Where the version stands in the scheme's order, or why it has no place there."""
    if len(text) > LONGEST:
        return Place(None, f"{text[:40]!r}… is longer than {LONGEST} characters, which no {scheme.name} version is")
    if scheme.form.fullmatch(text) is None:
        return Place(None, f"{text!r} is not {scheme.says}")
    try:
        return Place(scheme.key(text))
    except (ValueError, TypeError, IndexError, AttributeError, univers.InvalidVersion):
        return Place(None, f"{text!r} is not {scheme.says}")


def compare(scheme: Scheme, one: str, other: str) -> Comparison:
    """How ``one`` stands to ``other``. Identical texts are the same version, whatever their form."""
    if one == other:
        return Comparison(Order.SAME)
    here, there = place(scheme, one), place(scheme, other)
    if not here.known or not there.known:
        return Comparison(Order.UNKNOWN, here.because or there.because)
    try:
        if here.key == there.key:
            return Comparison(Order.SAME)
        return Comparison(Order.BEFORE if here.key < there.key else Order.AFTER)
    except (TypeError, ValueError, IndexError, AttributeError):
        # The scheme's order is partial (a maker's letters beside numbers), or has two branches.
        return Comparison(Order.UNKNOWN, f"{one!r} and {other!r} have no common order in {scheme.name}")
