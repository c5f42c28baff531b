"""Versions, bills of material and feeds, as ecosystems, suppliers and people write them."""

import json

from bastide.core.error import Unreadable
from bastide.operations.component import vers
from bastide.operations.component.sbom import read_sbom
from bastide.operations.component.vendor import read_range
from bastide.operations.component.version import SCHEMES, compare
from bastide.operations.vulnerability.knowledge import Knowledge
from tests.domain.operations.vulnerability.documents import csaf, node, nvd, openvex, osv, product
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


def _feed(data: bytes) -> None:
    knowledge = Knowledge()
    knowledge.take("feed", data)
    knowledge.about(_HERE)


def _document(value: object) -> bytes:
    return json.dumps(value).encode()


_SBOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [
        {"name": "requests", "version": "1.5", "purl": "pkg:pypi/requests@1.5", "bom-ref": "a"},
        {"name": "SCALANCE X204", "version": "V5.2", "supplier": {"name": "Siemens AG"}},
        {"name": "perl", "version": "5.8", "cpe": "cpe:2.3:a:larry_wall:perl:5.8:*:*:*:*:*:*:*"},
    ],
}
_XML = b"<bom xmlns='http://cyclonedx.org/schema/bom/1.6'><components><component><name>a</name></component></components></bom>"
_SPDX = b"SPDXVersion: SPDX-2.3\nPackageName: z\nExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/zlib1g@1\n"
_STATEMENT = {
    "vulnerability": {"name": "CVE-2026-0001"},
    "products": [{"@id": "pkg:pypi/requests@1.5"}],
    "status": "fixed",
}
_PERL = {"criteria": "cpe:2.3:a:larry_wall:perl:*:*:*:*:*:*:*:*", "vulnerable": True, "versionEndIncluding": "5.8.3"}
_HERE = read_sbom(_document(_SBOM))
_FEEDS = (
    _document(osv()),
    _document(nvd({"nodes": [node(_PERL)]})),
    _document(csaf(product("SCALANCE X204", "< V5.2.5"), status={"known_affected": ["P1"]})),
    _document(openvex(_STATEMENT)),
    b"#model_version:1,score_date:2026-01-01\ncve,epss,percentile\nCVE-2026-0001,0.5,0.9\n",
    b"cve,exploitation,automatable,technical_impact\nCVE-2026-0001,poc,yes,total\n",
    b"id: PYSEC-1\nmodified: 2026-01-01T00:00:00Z\naffected:\n- package: {ecosystem: PyPI, name: requests}\n  versions: [a]\n",
    _document({"zlib": {"CVE-2026-0001": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "1"}}}}}),
)

TARGETS = [
    Target("sbom", read_sbom, (_document(_SBOM), _XML, _SPDX)),
    Target("feed", _feed, _FEEDS),
    Target(
        "vendor-range", lambda data: read_range(data.decode(errors="replace")), (b">= V6.2 <V7.1 SP1", b"2.1 and prior")
    ),
    Target("vers", _range, (b"vers:npm/>=1.0.0|<2.0.0", b"vers:deb/<1%3A2.3-4|>=2:0", b"vers:all/*")),
    Target("versions", _versions, (b"1.2.3-rc.1|1.2.3", b"1:2.3~rc1-4|2.3", b"1.0.2zg|3.0.0")),
    Target("native-range", _native, (b"npm:^1.2 || 2.x", b"gem:~> 2.0.8", b"maven:[1.0,2.0)", b"pypi:>=1,<2,!=1.5")),
]
