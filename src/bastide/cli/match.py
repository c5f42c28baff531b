"""``bastide match``: which components of an SBOM are affected by what the feeds know, and which of it to fix first."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.output import JSON, document, printable, table
from bastide.cli.wiring import read_feeds
from bastide.core.error import NotFound, Unreadable
from bastide.operations.component.sbom import MAX_BYTES, load_json, read_sbom
from bastide.operations.vulnerability.advisory import Status
from bastide.operations.vulnerability.knowledge import Knowledge
from bastide.operations.vulnerability.match import Match
from bastide.operations.vulnerability.ssvc import Exposure, Impact, Priority, prioritise
from bastide.operations.vulnerability.vex import Statement, read_cyclonedx_vex


def match(
    sbom: Annotated[
        Path, typer.Option("--sbom", metavar="FILE", help="CycloneDX (JSON, XML) or SPDX 2.3 (JSON, tag-value).")
    ],
    feeds: Annotated[
        Path, typer.Option("--feeds", metavar="DIR", help="OSV, NVD, CSAF, KEV, EPSS, SSVC, VEX, Debian; archives too.")
    ],
    exposure: Annotated[Exposure | None, typer.Option("--exposure", help="How the device can be reached.")] = None,
    impact: Annotated[
        Impact | None, typer.Option("--impact", help="What its misuse would do to people and the mission.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also list what is not affected.")] = False,
    json: JSON = False,
) -> int:
    """Match an SBOM against feeds: affected, not affected, or unknown and why; ordered by what to do first.

    Ends with 1 where something is affected.
    """
    content = _read(sbom)
    read = read_sbom(content)
    own: tuple[Statement, ...] = ()
    if content.lstrip()[:1] == b"{":
        own = tuple(read_cyclonedx_vex(load_json(content)))
    knowledge = Knowledge()
    passed_over: list[str] = []
    for name, inside in read_feeds(feeds, passed_over.append):
        knowledge.take(name, inside)
    applied = knowledge.about(read, own)
    judged = [
        (one, prioritise(knowledge.exploitation_of(one.advisory.names), exposure=exposure, impact=impact))
        for one in applied.matches
    ]
    judged.sort(key=lambda pair: _first(*pair))
    affected = any(one.verdict.status is Status.AFFECTED for one, _ in judged)
    if json:
        document(
            {
                "sbom": {
                    "file": str(sbom),
                    "form": read.form,
                    "components": len(read.components),
                    "notes": list(read.notes),
                },
                "feeds": {
                    "documents": dict(sorted(knowledge.documents.items())),
                    "packages": len(knowledge.index.by_package),
                    "notes": knowledge.notes + passed_over,
                },
                "matches": [_described(one, priority, knowledge) for one, priority in judged],
                "unused_vex": [
                    {
                        "source": one.statement.source,
                        "vulnerabilities": one.statement.vulnerabilities,
                        "products": one.statement.products,
                        "because": one.because,
                    }
                    for one in applied.unused
                ],
            }
        )
        return 1 if affected else 0
    _print(judged, everything=everything)
    near = [one for one in applied.unused if one.vulnerability_is_here]
    for unused in near[:20]:
        statement = unused.statement
        typer.echo(
            printable(
                f"VEX not used: {statement.source}, {', '.join(statement.vulnerabilities[:2])}: {unused.because}."
            )
        )
    if beyond := len(applied.unused) - len(near):
        typer.echo(f"{beyond:,} VEX statements speak of weaknesses that nothing here has.")
    for note in [*read.notes[:10], *knowledge.notes[:10], *passed_over[:10]]:
        typer.echo(printable(f"note: {note}"))
    said = ", ".join(f"{count:,} {form}" for form, count in sorted(knowledge.documents.items()))
    typer.echo(f"{len(read.components):,} components against {said or 'no documents'}.")
    return 1 if affected else 0


_ORDER = {Status.AFFECTED: 0, Status.UNKNOWN: 1, Status.NOT_AFFECTED: 2}


def _first(one: Match, priority: Priority) -> tuple[object, ...]:
    return (
        _ORDER[one.verdict.status],
        -priority.action.rank,
        one.component.name,
        one.component.version,
        one.advisory.id,
        one.advisory.source,
    )


def _described(one: Match, priority: Priority, knowledge: Knowledge) -> dict[str, Any]:
    known = knowledge.exploitation_of(one.advisory.names)
    component = one.component
    return {
        "component": {
            "name": component.name,
            "version": component.version,
            "purl": _purl(one),
            "cpe": component.cpe,
            "ref": component.ref,
        },
        "vulnerability": one.advisory.cve or one.advisory.id,
        "advisory": one.advisory.id,
        "aliases": list(one.advisory.aliases),
        "answer": one.verdict.status.value,
        "because": one.verdict.because,
        "source": one.advisory.source,
        "fixed": one.verdict.fixed,
        "summary": one.advisory.summary,
        "cvss": one.advisory.cvss,
        "kev": known.kev_added,
        "epss": {"score": known.epss, "date": known.epss_at, "model": known.epss_model}
        if known.epss is not None
        else None,
        "decision": priority.action.value if one.verdict.status is not Status.NOT_AFFECTED else None,
        "path": [{"point": point, "value": value, "because": why} for point, value, why in priority.path],
        "due": (datetime.now(UTC) + priority.due_within).date() if one.verdict.status is Status.AFFECTED else None,
    }


def _purl(one: Match) -> str:
    purl = one.component.purl
    return f"pkg:{purl.key}@{one.component.version}" if purl else ""


def _print(judged: list[tuple[Match, Priority]], *, everything: bool) -> None:
    shown = [(one, priority) for one, priority in judged if everything or one.verdict.status is not Status.NOT_AFFECTED]
    rows = [
        (
            one.verdict.status.value.replace("_", " "),
            priority.action.value if one.verdict.status is not Status.NOT_AFFECTED else "",
            f"{one.component.name} {one.component.version}",
            one.advisory.cve or one.advisory.id,
            one.verdict.fixed,
            one.verdict.because[:90],
        )
        for one, priority in shown
    ]
    table(
        ("ANSWER", "DECISION", "COMPONENT", "WEAKNESS", "FIXED IN", "BECAUSE"),
        rows,
        empty="Nothing that the feeds know affects this SBOM.",
    )
    hidden = len(judged) - len(shown)
    if hidden:
        typer.echo(f"{hidden:,} more were matched by name and are not affected (--all lists them).")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}; name the SBOM.") from error
    if len(content) > MAX_BYTES:
        raise Unreadable(f"{path} is larger than {MAX_BYTES >> 20} MiB; split it by product.")
    return content
