"""``bastide firmware``: what is inside an image, and what is wrong with it. Needs nothing that runs."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from bastide.cli import output
from bastide.cli.wiring import check_image
from bastide.core.error import Unavailable

app = typer.Typer(no_args_is_help=True, help="What is inside a firmware image, and what is wrong with it.")

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image, an archive or a folder.")]
Seconds = Annotated[
    int, typer.Option("--seconds", min=1, max=86_400, help="How long it may take; then it tells what it has.")
]
SHOWN = 8
_RANK = ("critical", "high", "medium", "low", "info")


@app.command()
def check(
    image: Image,
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page to this file.")] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", help="Write SARIF 2.1.0 to this file.")] = None,
    sbom: Annotated[
        Path | None, typer.Option("--sbom", help="Write the components as CycloneDX 1.6 to this file.")
    ] = None,
    seconds: Seconds = 900,
    as_json: output.JSON = False,
) -> int:
    """Look into an image all the way down: components, coverage, findings with what to do. Nothing is written to a disk.

    Ends with 1 where a finding is high or critical.
    """
    report = check_image(image, float(seconds))
    if html is not None:
        from bastide.cli.firmware_html import page

        _write(html, page(report, str(image)))
    if sarif is not None:
        _write(sarif, json.dumps(as_sarif(report, image.name), indent=1))
    if sbom is not None:
        _write(sbom, json.dumps(as_cyclonedx(report, image.name), indent=1))
    grave = any(finding["severity"] in ("critical", "high") for finding in report["findings"])
    if as_json:
        output.document(report)
    else:
        _show(report, str(image))
    return 1 if grave else 0


@app.command()
def diff(before: Image, after: Image, seconds: Seconds = 900, as_json: output.JSON = False) -> int:
    """What two images differ in: components that came, went or changed, findings that are new and that are gone.

    Ends with 1 where a new finding is high or critical.
    """
    told = difference(check_image(before, float(seconds)), check_image(after, float(seconds)))
    if as_json:
        output.document(told)
    else:
        rows = [("+", one["name"], "", one["version"]) for one in told["components"]["added"]]
        rows += [("-", one["name"], one["version"], "") for one in told["components"]["removed"]]
        rows += [("~", one["name"], one["before"], one["after"]) for one in told["components"]["changed"]]
        output.table(("", "Component", "Before", "After"), rows, empty="The same components.")
        for title, name in (("New findings", "new"), ("Gone", "gone")):
            found = told["findings"][name]
            typer.echo(f"\n{title}: {len(found)}")
            for one in found[:40]:
                typer.echo(f"  {one['severity']:8} {output.printable(one['path'])}: {output.printable(one['message'])}")
    return 1 if any(one["severity"] in ("critical", "high") for one in told["findings"]["new"]) else 0


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Two reports compared; paths are taken without the names of the containers around them."""

    def parts(report: Mapping[str, Any]) -> dict[tuple[str, str], str]:
        return {(one["name"], one["source"]): one["version"] for one in report["components"]}

    def flaws(report: Mapping[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
        return {(one["code"], one["path"].rpartition("!")[2], one["message"]): one for one in report["findings"]}

    old, new = parts(before), parts(after)
    was, now = flaws(before), flaws(after)
    return {
        "components": {
            "added": [{"name": key[0], "version": new[key]} for key in sorted(new.keys() - old.keys())],
            "removed": [{"name": key[0], "version": old[key]} for key in sorted(old.keys() - new.keys())],
            "changed": [
                {"name": key[0], "before": old[key], "after": new[key]}
                for key in sorted(old.keys() & new.keys())
                if old[key] != new[key]
            ],
        },
        "findings": {
            "new": [now[key] for key in now if key not in was],
            "gone": [was[key] for key in was if key not in now],
        },
    }


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error


def grouped(report: Mapping[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Findings of one code together, the gravest first."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in report["findings"]:
        groups.setdefault(one["code"], []).append(one)
    return sorted(
        ((found[0], found) for found in groups.values()),
        key=lambda group: (_RANK.index(group[0]["severity"]), -len(group[1]), group[0]["code"]),
    )


def _show(report: Mapping[str, Any], name: str) -> None:
    coverage, counts = report["coverage"], Counter(one["severity"] for one in report["findings"])
    typer.echo(
        f"{output.printable(name)}: {coverage['files']:,} files, {coverage['bytes'] / 1e6:,.1f} MB, in {report['seconds']} s"
    )
    said = ", ".join(f"{counts[severity]} {severity}" for severity in _RANK if counts[severity])
    typer.echo(f"Findings: {said or 'none'}")
    typer.echo(
        f"Components: {len(report['components'])}; they explain {coverage['share_of_files']:.0%} of the files and "
        f"{coverage['share_of_bytes']:.0%} of the bytes"
    )
    for first, found in grouped(report):
        typer.echo(f"\n{first['severity']:8} {first['code']} ({len(found)})  {', '.join(first['provisions'])}")
        for one in found[:SHOWN]:
            typer.echo(f"         {output.printable(one['path'])}: {output.printable(one['message'])}")
        if len(found) > SHOWN:
            typer.echo(f"         and {len(found) - SHOWN} more")
        typer.echo(f"         {first['advice']}")
    if report["components"]:
        typer.echo("")
        rows = [
            (one["name"], one["version"], f"{one['confidence']:.0%}", one["source"]) for one in report["components"]
        ]
        output.table(("Component", "Version", "Sure", "By"), rows[:200], empty="")
        if len(rows) > 200:
            typer.echo(f"and {len(rows) - 200} more; --json has all")
    for cut in report["limits"][:20]:
        typer.echo(f"Cut short: {output.printable(cut['path'])}: {output.printable(cut['reason'])}")
    if len(report["limits"]) > 20:
        typer.echo(f"and {len(report['limits']) - 20} more that were cut short; --json has all")
    for layer in report["not_sandboxed"]:
        typer.echo(f"Not sandboxed by {layer}")


_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}


def as_sarif(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """SARIF 2.1.0 (OASIS): one result a finding, the provisions as tags of its rule."""
    rules = [
        {
            "id": first["code"],
            "shortDescription": {"text": first["message"]},
            "help": {"text": first["advice"]},
            "properties": {"tags": first["provisions"]},
        }
        for first, _ in grouped(report)
    ]
    results = [
        {
            "ruleId": one["code"],
            "level": _LEVEL[one["severity"]],
            "message": {"text": f"{one['message']} {one['advice']}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(one["path"])}}}],
        }
        for one in report["findings"]
    ]
    run = {
        "tool": {"driver": {"name": "bastide firmware check", "rules": rules}},
        "artifacts": [{"location": {"uri": _uri(name)}}],
        "results": results,
    }
    return {"version": "2.1.0", "runs": [run]}


def _uri(path: str) -> str:
    return quote(path.lstrip("/"), safe="/!")


_TECHNIQUES = {"binary": "binary-analysis", "header": "binary-analysis", "file name": "filename"}


def as_cyclonedx(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """CycloneDX 1.6 with the confidence and the source of each component as evidence."""
    parts = []
    for number, one in enumerate(report["components"]):
        technique = _TECHNIQUES.get(one["source"], "manifest-analysis")
        identity = {
            "field": "version",
            "confidence": one["confidence"],
            "methods": [{"technique": technique, "confidence": one["confidence"]}],
        }
        parts.append(
            {
                "type": "library",
                "bom-ref": f"{number}-{one['name']}",
                "name": one["name"],
                "version": one["version"],
                "purl": one["purl"],
                "evidence": {"identity": [identity], "occurrences": [{"location": path} for path in one["files"]]},
            }
        )
    subject = {"type": "firmware", "name": name}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": parts,
    }
