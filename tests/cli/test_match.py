"""``bastide match`` and ``bastide version``, as a person and as a script use them."""

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bastide.cli import run
from tests.domain.operations.vulnerability.documents import encoded, openvex, osv

SBOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [
        {"name": "requests", "version": "1.5", "purl": "pkg:pypi/requests@1.5", "bom-ref": "a"},
        {"name": "requests", "version": "3.0", "purl": "pkg:pypi/requests@3.0", "bom-ref": "b"},
        {"name": "requests", "version": "main", "purl": "pkg:pypi/requests@main", "bom-ref": "c"},
    ],
}


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run(arguments)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def sbom(tmp_path: Path) -> Path:
    path = tmp_path / "sbom.json"
    path.write_bytes(encoded(SBOM))
    return path


@pytest.fixture
def feeds(tmp_path: Path) -> Path:
    folder = tmp_path / "feeds"
    folder.mkdir()
    return folder


def matched(capsys: pytest.CaptureFixture[str], sbom: Path, feeds: Path) -> Any:
    status, out, err = said(capsys, "match", "--sbom", str(sbom), "--feeds", str(feeds), "--json")
    assert err == ""
    return status, json.loads(out)


def test_each_match_has_an_answer_a_reason_and_a_source(
    capsys: pytest.CaptureFixture[str], sbom: Path, feeds: Path
) -> None:
    (feeds / "any-name").write_bytes(encoded(osv()))
    status, told = matched(capsys, sbom, feeds)
    assert status == 1
    assert [(one["component"]["version"], one["answer"], one["source"]) for one in told["matches"]] == [
        ("1.5", "affected", "osv:PYSEC-1"),
        ("main", "unknown", "osv:PYSEC-1"),
        ("3.0", "not_affected", "osv:PYSEC-1"),
    ]
    assert all(one["because"] for one in told["matches"])
    assert told["matches"][0]["decision"] in ("track", "track*", "attend", "act")


def test_archives_are_opened_on_the_way(capsys: pytest.CaptureFixture[str], sbom: Path, feeds: Path) -> None:
    document = encoded(osv())
    with tarfile.open(feeds / "all.tar.xz", "w:xz") as archive:
        entry = tarfile.TarInfo("x/one.json")
        entry.size = len(document)
        archive.addfile(entry, io.BytesIO(document))
    with zipfile.ZipFile(feeds / "all.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("two.json", encoded(osv("PYSEC-2")))
    (feeds / "three.json.gz").write_bytes(gzip.compress(encoded(osv("PYSEC-3"))))
    (feeds / "four.json.xz").write_bytes(lzma.compress(encoded(osv("PYSEC-4"))))
    _, told = matched(capsys, sbom, feeds)
    assert told["feeds"]["documents"] == {"osv": 4}
    assert len(told["matches"]) == 12


def test_damaged_files_are_named_and_lose_no_neighbour(
    capsys: pytest.CaptureFixture[str], sbom: Path, feeds: Path
) -> None:
    (feeds / "cut.json.gz").write_bytes(gzip.compress(encoded(osv()))[:-20])
    (feeds / "cut.json.xz").write_bytes(lzma.compress(encoded(osv()))[:-20])
    (feeds / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    (feeds / "bad.json").write_bytes(b'{"id": ')
    (feeds / "good.json").write_bytes(encoded(osv()))
    _, told = matched(capsys, sbom, feeds)
    assert len(told["matches"]) == 3
    assert len(told["feeds"]["notes"]) == 4


def test_a_supplier_may_close_a_match(capsys: pytest.CaptureFixture[str], sbom: Path, feeds: Path) -> None:
    (feeds / "osv.json").write_bytes(encoded(osv()))
    statement = {
        "vulnerability": {"name": "CVE-2026-0001"},
        "products": [{"@id": "pkg:pypi/requests@1.5"}],
        "status": "not_affected",
        "justification": "component_not_present",
    }
    (feeds / "vex.json").write_bytes(
        encoded(openvex(statement, statement | {"products": [{"@id": "pkg:pypi/requests@9"}]}))
    )
    status, told = matched(capsys, sbom, feeds)
    assert status == 0
    assert {one["component"]["version"]: one["answer"] for one in told["matches"]}["1.5"] == "not_affected"
    assert [one["because"] for one in told["unused_vex"]] == ["it names no component here"]
    status, out, _ = said(capsys, "match", "--sbom", str(sbom), "--feeds", str(feeds))
    assert status == 0
    assert "VEX not used" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("match", "--sbom", "nowhere.json", "--feeds", "."),
        ("match", "--sbom", "{here}/bad", "--feeds", "."),
        ("match", "--sbom", "{here}/sbom.json", "--feeds", "nowhere"),
        ("version", "compare", "firmware", "1", "2"),
        ("version", "contains", "vers:npm/>=2|<1", "1"),
        ("version", "range", "npm", "><"),
        ("version", "compare", "deb", "1"),
    ],
)
def test_wrong_use_is_one_sentence(
    capsys: pytest.CaptureFixture[str], sbom: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "bad").write_text("hello")
    status, out, err = said(capsys, *(one.replace("{here}", str(tmp_path)) for one in arguments))
    assert status == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("compare", "deb", "1.0~rc1-1", "1.0-1"), "<"),
        (("compare", "pypi", "1.0", "1.0.0"), "="),
        (("contains", "vers:npm/>=1.0.0|<2.0.0", "1.5.0"), "true"),
        (("contains", "vers:npm/>=1.0.0|<2.0.0", "2.0.0"), "false"),
        (("range", "npm", "^1.2"), "vers:npm/>=1.2.0|<2.0.0"),
    ],
)
def test_the_answer_is_one_word(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], answer: str) -> None:
    assert said(capsys, "version", *arguments) == (0, f"{answer}\n", "")


def test_unknown_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "version", "compare", "semver", "1.2 SP1", "1.3.0")
    assert status == 0
    assert out.startswith("unknown: '1.2 SP1' is not")
