"""A component: one part of a product that has a name and a version of its own, as an SBOM or a package database states it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from packageurl import PackageURL

from bastide.core.error import Unreadable
from bastide.operations.component.version import SCHEMES, Scheme, scheme_named

LONGEST_PURL = 2_048


@dataclass(frozen=True, slots=True)
class Purl:
    """A package URL (ECMA-427), normalised: ``key`` names the package without version, qualifiers and subpath."""

    type: str
    namespace: str
    name: str
    version: str = ""
    qualifiers: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.type}/{self.namespace}/{self.name}" if self.namespace else f"{self.type}/{self.name}"


def parse_purl(text: str) -> Purl:
    """``Unreadable`` (``component:purl``) where the text is no package URL."""
    if len(text) > LONGEST_PURL:
        raise Unreadable(
            f"A package URL of {len(text)} characters is longer than {LONGEST_PURL}.", code="component:purl"
        )
    try:
        read = PackageURL.from_string(text)
    except ValueError as error:
        raise Unreadable(f"{text[:120]!r} is no package URL: {error}", code="component:purl") from error
    qualifiers = read.qualifiers if isinstance(read.qualifiers, dict) else {}
    return Purl(read.type, read.namespace or "", _folded(read.type, read.name), read.version or "", qualifiers)


def _folded(type_: str, name: str) -> str:
    # PEP 503 for PyPI; packageurl-python folds what the purl types demand beyond that.
    return name.lower().replace("_", "-").replace(".", "-") if type_ == "pypi" else name


@dataclass(frozen=True, slots=True)
class Component:
    """``source_name`` is the source package that a distribution built it from; ``ref`` is how its SBOM names it.

    ``supplier`` and ``name`` identify what has no package URL (hardware, firmware). ``cpe`` is a CPE 2.3 name or empty.
    """

    name: str
    version: str
    purl: Purl | None = None
    cpe: str = ""
    supplier: str = ""
    ref: str = ""
    kind: str = "library"
    hashes: tuple[tuple[str, str], ...] = ()

    @property
    def scheme(self) -> Scheme | None:
        """The order of its versions, or None where nobody can say."""
        if self.purl is None:
            return None
        try:
            return scheme_named(self.purl.type)
        except Unreadable:
            return SCHEMES["generic"] if self.purl.type == "generic" else None

    @property
    def source_name(self) -> str:
        upstream = self.purl.qualifiers.get("upstream", "") if self.purl else ""
        return upstream.partition("@")[0]
