"""Software bills of material: CycloneDX 1.2 to 1.7 (JSON, XML) and SPDX 2.2/2.3 (JSON, tag-value), read into components.

Reading is lenient in what it needs not and strict in what it uses: a component without a name, or with a package URL that is
none, is counted under ``notes`` and never loses its neighbours. XML with a document type is refused (no entity is expanded).
VEX statements inside are read by :mod:`bastide.operations.vulnerability.vex`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from bastide.core.error import Unreadable
from bastide.operations.component.component import Component, Purl, parse_purl

MAX_BYTES = 256 << 20
MAX_COMPONENTS = 500_000
MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Sbom:
    """``subject`` is what the document is about (None where it does not say); ``notes`` what could not be used, and why."""

    form: str
    components: tuple[Component, ...]
    subject: Component | None
    notes: tuple[str, ...]


def read_sbom(content: bytes) -> Sbom:
    """Tells the form by its content. ``Unreadable``: ``sbom:form``, ``sbom:size``, ``sbom:xml``."""
    if len(content) > MAX_BYTES:
        raise Unreadable(f"The SBOM is larger than {MAX_BYTES >> 20} MiB; split it by product.", code="sbom:size")
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        return _cyclonedx_xml(content)
    if head.startswith(b"{"):
        document = load_json(content)
        if document.get("bomFormat") == "CycloneDX":
            return _cyclonedx(document)
        if "spdxVersion" in document:
            return _spdx(document)
    if re.search(rb"^SPDXVersion:", content[:65536], re.MULTILINE):
        return _spdx_tag_value(content)
    raise Unreadable(
        "This is no SBOM that Bastide can read; give CycloneDX (JSON or XML) or SPDX 2.3 (JSON or tag-value).",
        code="sbom:form",
    )


def load_json(content: bytes) -> dict[str, Any]:
    """One JSON object. ``Unreadable`` (``document:json``) says where it breaks."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"This is no JSON document: {error}.", code="document:json") from error
    if not isinstance(document, dict):
        raise Unreadable("This JSON document is no object.", code="document:json")
    return document


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def as_dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Collector:
    def __init__(self) -> None:
        self.components: list[Component] = []
        self.notes: list[str] = []

    def add(self, name: str, version: str, purl: str, **more: Any) -> Component | None:
        if not name:
            self.note("a component has no name")
            return None
        if len(self.components) >= MAX_COMPONENTS:
            raise Unreadable(
                f"The SBOM has more than {MAX_COMPONENTS:,} components; split it by product.", code="sbom:size"
            )
        read: Purl | None = None
        if purl:
            try:
                read = parse_purl(purl)
            except Unreadable as error:
                self.note(error.sentence)
        version = version or (read.version if read else "")
        component = Component(name=name, version=version, purl=read, **more)
        self.components.append(component)
        return component

    def note(self, sentence: str) -> None:
        if len(self.notes) < 1_000:
            self.notes.append(sentence)

    def done(self, form: str, subject: Component | None) -> Sbom:
        return Sbom(form, tuple(self.components), subject, tuple(self.notes))


def _cyclonedx(document: Mapping[str, Any]) -> Sbom:
    found = _Collector()

    def walk(entries: list[Any], depth: int) -> None:
        if depth > MAX_DEPTH:
            found.note(f"components nested deeper than {MAX_DEPTH} are left out")
            return
        for entry in entries:
            if isinstance(entry, dict):
                one(entry)
                walk(as_list(entry.get("components")), depth + 1)

    def one(entry: Mapping[str, Any]) -> Component | None:
        supplier = as_text(as_dict(entry.get("supplier")).get("name")) or as_text(
            as_dict(entry.get("manufacturer")).get("name")
        )
        hashes = tuple(
            (as_text(each.get("alg")), as_text(each.get("content")))
            for each in as_list(entry.get("hashes"))
            if isinstance(each, dict)
        )
        group = as_text(entry.get("group"))
        return found.add(
            as_text(entry.get("name")),
            as_text(entry.get("version")),
            as_text(entry.get("purl")),
            cpe=as_text(entry.get("cpe")),
            supplier=supplier or as_text(entry.get("publisher")) or (group if not entry.get("purl") else ""),
            ref=as_text(entry.get("bom-ref")),
            kind=as_text(entry.get("type")) or "library",
            hashes=hashes,
        )

    root = as_dict(as_dict(document.get("metadata")).get("component"))
    subject = one(root) if root else None
    walk(as_list(root.get("components")), 1)
    walk(as_list(document.get("components")), 1)
    return found.done(f"CycloneDX {as_text(document.get('specVersion')) or '?'} JSON", subject)


def _safe_xml(content: bytes) -> ElementTree.Element:
    if re.search(rb"<!(DOCTYPE|ENTITY)", content[: 1 << 20], re.IGNORECASE):
        raise Unreadable("XML with a document type is refused: it could expand without end.", code="sbom:xml")
    try:
        return ElementTree.fromstring(content)  # noqa: S314 -- document types are refused above, so no entity exists
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Unreadable(f"This is no well-formed XML: {error}.", code="sbom:xml") from error


def _cyclonedx_xml(content: bytes) -> Sbom:
    root = _safe_xml(content)
    space, _, tag = root.tag.partition("}")
    if tag != "bom" or "cyclonedx.org" not in space:
        raise Unreadable("This XML is no CycloneDX document; its root is not <bom>.", code="sbom:form")
    as_json: dict[str, Any] = {
        "specVersion": space.rsplit("/", 1)[-1],
        "components": list(_xml_components(root.find(f"{space}}}components"), space)),
    }
    metadata = root.find(f"{space}}}metadata/{space}}}component")
    if metadata is not None:
        as_json["metadata"] = {"component": _xml_component(metadata, space)}
    read = _cyclonedx(as_json)
    return Sbom(read.form.replace("JSON", "XML"), read.components, read.subject, read.notes)


def _xml_components(parent: ElementTree.Element | None, space: str, depth: int = 0) -> Iterator[dict[str, Any]]:
    if parent is not None and depth <= MAX_DEPTH:
        for element in parent.findall(f"{space}}}component"):
            yield _xml_component(element, space, depth)


def _xml_component(element: ElementTree.Element, space: str, depth: int = 0) -> dict[str, Any]:
    def text(path: str) -> str:
        return (element.findtext(f"{space}}}{path}") or "").strip()

    return {
        "name": text("name"),
        "version": text("version"),
        "group": text("group"),
        "purl": text("purl"),
        "cpe": text("cpe"),
        "publisher": text("publisher"),
        "supplier": {"name": text(f"supplier/{space}}}name")},
        "bom-ref": element.get("bom-ref", ""),
        "type": element.get("type", ""),
        "hashes": [
            {"alg": each.get("alg", ""), "content": (each.text or "").strip()}
            for each in element.findall(f"{space}}}hashes/{space}}}hash")
        ],
        "components": list(_xml_components(element.find(f"{space}}}components"), space, depth + 1)),
    }


def _spdx(document: Mapping[str, Any]) -> Sbom:
    found = _Collector()
    described = {as_text(one) for one in as_list(document.get("documentDescribes"))} | {
        as_text(one.get("relatedSpdxElement"))
        for one in as_list(document.get("relationships"))
        if isinstance(one, dict) and one.get("relationshipType") == "DESCRIBES"
    }
    subjects = []
    for package in as_list(document.get("packages")):
        if not isinstance(package, dict):
            found.note("a package is no object")
            continue
        references = {
            as_text(one.get("referenceType")): as_text(one.get("referenceLocator"))
            for one in as_list(package.get("externalRefs"))
            if isinstance(one, dict)
        }
        component = found.add(
            as_text(package.get("name")),
            _said(package.get("versionInfo")),
            references.get("purl", ""),
            cpe=references.get("cpe23Type", ""),
            supplier=re.sub(r"^(Organization|Person):\s*", "", _said(package.get("supplier"))),
            ref=as_text(package.get("SPDXID")),
            hashes=tuple(
                (as_text(one.get("algorithm")), as_text(one.get("checksumValue")))
                for one in as_list(package.get("checksums"))
                if isinstance(one, dict)
            ),
        )
        if component is not None and component.ref in described:
            subjects.append(component)
    return found.done(f"{as_text(document.get('spdxVersion'))} JSON", subjects[0] if len(subjects) == 1 else None)


def _said(value: object) -> str:
    text = as_text(value)
    return "" if text in ("NOASSERTION", "NONE") else text


_TAG = re.compile(
    r"(PackageName|PackageVersion|PackageSupplier|SPDXID|ExternalRef|SPDXVersion|Relationship|FileName|SnippetSPDXID):\s*(.*)"
)


def _spdx_tag_value(content: bytes) -> Sbom:
    packages: list[dict[str, Any]] = []
    document: dict[str, Any] = {"packages": packages, "relationships": []}
    now: dict[str, Any] | None = None
    for line in content.decode(errors="replace").splitlines():
        tagged = _TAG.match(line)
        if tagged is None:
            continue
        tag, value = tagged[1], tagged[2].strip()
        if tag == "SPDXVersion":
            document["spdxVersion"] = value
        elif tag == "PackageName":
            now = {"name": value, "externalRefs": []}
            packages.append(now)
        elif tag in ("FileName", "SnippetSPDXID"):
            now = None
        elif tag == "Relationship" and len(words := value.split()) == 3:
            document["relationships"].append({"relationshipType": words[1], "relatedSpdxElement": words[2]})
        elif now is not None and tag == "ExternalRef" and len(words := value.split(None, 2)) == 3:
            now["externalRefs"].append({"referenceType": words[1], "referenceLocator": words[2]})
        elif now is not None and tag in ("PackageVersion", "PackageSupplier", "SPDXID"):
            now[{"PackageVersion": "versionInfo", "PackageSupplier": "supplier"}.get(tag, tag)] = value
    read = _spdx(document)
    return Sbom(read.form.replace("JSON", "tag-value"), read.components, read.subject, read.notes)
