"""``bastide audit``: checks the ledger and proves from it to somebody who does not trust it.

``verify`` recomputes everything from the database and reconciles it with the signer's journal, whether Bastide runs or not.
``check`` needs nothing but a bundle and the public key, and touches nothing else.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.output import JSON, document, facts, printable
from bastide.cli.wiring import DataDirectory, audit_ledger, exported_bundle, keep_ledger
from bastide.core.audit import Checkpoint
from bastide.core.error import Refused, Unreadable
from bastide.flows.keep_ledger import UpkeepUnits, erase_person, index_at, prune_ledger
from bastide.governance.audit.bundle import MAX_LINE_BYTES, check_bundle, checkpoint_in
from bastide.governance.audit.verdict import Verdict
from bastide.ports.platform.ledger import LedgerUpkeep
from bastide.wire.note import VerifierKey

app = typer.Typer(rich_markup_mode=None)

GOOD, BAD = 0, 1

DATA = Annotated[Path, typer.Option("--data", envvar="BASTIDE_DATA", help="The data directory.")]
KEY = Annotated[
    Path | None, typer.Option("--key", help="The public key, <name>+<id>+<key> (default: trust/checkpoint.vkey).")
]
DATABASE = Annotated[
    str, typer.Option("--database-url", envvar="BASTIDE_DATABASE_URL", help="Where the ledger is (default: state.db).")
]
SINCE = Annotated[
    Path | None,
    typer.Option("--since", help="A checkpoint that you hold, or a bundle with it: nothing before it changed."),
]
_HOME = Path("~/.local/share/bastide")
_ACTOR = "operator:command-line"


class CannotVerify(Unreadable):
    """Something that the check needs is not there."""

    code = "audit:input:missing"


@app.command()
def verify(
    data: DATA = _HOME,
    key: KEY = None,
    database: DATABASE = "",
    journal: Annotated[Path | None, typer.Option("--journal", help="The signer's folder (default: signer/).")] = None,
    since: SINCE = None,
    json: JSON = False,
) -> int:
    """Recompute the whole ledger from the database, and hold it against the signer's journal."""
    directory = DataDirectory(data.expanduser())
    folder = journal or directory.signer
    if journal is not None and not folder.is_dir():
        raise CannotVerify(f"There is no folder {folder}: name the signer's folder with --journal.")
    verifier = _key(directory, key)
    held = _held(since, verifier)
    verdict = audit_ledger(_url(directory, database), verifier, folder if folder.is_dir() else None, held)
    return _tell(verdict, json, "The ledger")


@app.command()
def prove(
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Its id, r-…")],
    out: Annotated[Path | None, typer.Option("--out", help="Write the proof to this file (a bundle of one).")] = None,
    data: DATA = _HOME,
    key: KEY = None,
    database: DATABASE = "",
    json: JSON = False,
) -> int:
    """Prove that one record is in the signed ledger."""
    directory = DataDirectory(data.expanduser())
    verifier = _key(directory, key)
    with exported_bundle(_url(directory, database), verifier, f"record:{record}", False) as lines:
        bundle = list(lines)
    if out is not None:
        _write(out, bundle)
    verdict = check_bundle(bundle, verifier)
    if not json and out is None and verdict.good:
        typer.echo(b"".join(bundle).decode(), nl=False)
        return GOOD
    return _tell(verdict, json, f"The proof of {record}", {"bundle": str(out) if out else b"".join(bundle).decode()})


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="The file to write.")],
    subject: Annotated[str, typer.Option("--subject", help="Only records on this subject, such as device:d-….")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only kinds that begin so.")] = "",
    first: Annotated[int | None, typer.Option("--from", min=0, help="Only records from this index on.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Only records up to this index.")] = None,
    since: SINCE = None,
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Show facts about people that are kept.")
    ] = False,
    data: DATA = _HOME,
    key: KEY = None,
    database: DATABASE = "",
    json: JSON = False,
) -> int:
    """Write records with their proofs to a file that anybody can check with the public key."""
    directory = DataDirectory(data.expanduser())
    verifier = _key(directory, key)
    selection = _selection(subject, kind, first, last)
    held = _held(since, verifier)
    with exported_bundle(_url(directory, database), verifier, selection, show_personal, held) as lines:
        _write(out, lines)
    return _tell(_checked(out, verifier, held), json, f"The bundle {out}", {"bundle": str(out)})


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle that `bastide audit export` wrote.")],
    key: KEY = None,
    since: SINCE = None,
    data: DATA = _HOME,
    json: JSON = False,
) -> int:
    """Check a bundle, offline, with nothing but the public key."""
    verifier = _key(DataDirectory(data.expanduser()), key)
    return _tell(_checked(file, verifier, _held(since, verifier)), json, f"The bundle {file}")


@app.command()
def erase(
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="The fact as it was recorded; - reads it from standard input.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, only say how many facts would go.")] = False,
    data: DATA = _HOME,
    database: DATABASE = "",
    json: JSON = False,
) -> int:
    """Erase every fact about a person that is this value. The records stay, and the tree still verifies."""
    wanted = sys.stdin.readline().rstrip("\n") if value == "-" else value

    async def run(units: UpkeepUnits, upkeep: LedgerUpkeep) -> int:
        if not yes:
            return len(await upkeep.personal(wanted))
        return await erase_person(wanted, actor=_ACTOR, units=units, upkeep=upkeep)

    count = keep_ledger(_url(DataDirectory(data.expanduser()), database), run)
    if json:
        document({"facts": count, "erased": yes})
    else:
        typer.echo(f"{count} facts {'were erased' if yes else 'would be erased; --yes erases them'}.")
    return GOOD


@app.command()
def prune(
    before: Annotated[int | None, typer.Option("--before", min=0, help="Records with an index below this.")] = None,
    days: Annotated[
        int | None, typer.Option("--older-than", min=1, metavar="DAYS", help="Records older than that.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Prune; without it, only say up to where it would go.")] = False,
    data: DATA = _HOME,
    database: DATABASE = "",
    json: JSON = False,
) -> int:
    """Remove the bodies of old records. Hashes and places stay, so every proof still holds; signatures are never pruned."""
    if (before is None) == (days is None):
        raise Refused("Say up to where to prune: --before INDEX or --older-than DAYS.")

    async def run(units: UpkeepUnits, upkeep: LedgerUpkeep) -> tuple[int, int]:
        edge = (
            before
            if days is None or before is not None
            else await index_at(datetime.now(UTC) - timedelta(days), upkeep)
        )
        edge = edge or 0
        return edge, await prune_ledger(edge, actor=_ACTOR, units=units, upkeep=upkeep) if yes and edge else 0

    edge, count = keep_ledger(_url(DataDirectory(data.expanduser()), database), run)
    if json:
        document({"before": edge, "bodies": count, "pruned": yes})
    elif yes:
        typer.echo(f"{count} bodies of records below {edge} were pruned.")
    else:
        typer.echo(f"Bodies of records below {edge} would be pruned; --yes prunes them.")
    return GOOD


def _selection(subject: str, kind: str, first: int | None, last: int | None) -> str:
    ranged = first is not None or last is not None
    if bool(subject) + bool(kind) + ranged > 1:
        raise Refused("Choose records by --subject, by --kind or by --from and --to, and not by two of them.")
    if ranged and (first is None or last is None or last < first):
        raise Refused("A range needs --from and --to, and --to is not before --from.")
    if ranged:
        return f"range:{first}-{last}"
    return f"subject:{subject}" if subject else f"kind:{kind}" if kind else "all"


def _checked(file: Path, key: VerifierKey, held: Checkpoint | None) -> Verdict:
    with file.open("rb") as opened:
        return check_bundle(iter(lambda: opened.readline(MAX_LINE_BYTES + 1), b""), key, held)


def _held(file: Path | None, key: VerifierKey) -> Checkpoint | None:
    """The checkpoint that somebody kept; only its beginning is read, since it may be a whole bundle."""
    if file is None:
        return None
    with file.open("rb") as opened:
        return checkpoint_in(opened.read(MAX_LINE_BYTES).decode("utf-8", "replace"), key)


def _key(directory: DataDirectory, key: Path | None) -> VerifierKey:
    path = key or directory.trust / "checkpoint.vkey"
    try:
        return VerifierKey.parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CannotVerify(f"The public key {path} cannot be read: name it with --key.") from error


def _url(directory: DataDirectory, given: str) -> str:
    if given:
        return given
    if not directory.database.exists():
        raise CannotVerify(
            f"There is no database {directory.database}: name the data directory with --data, or --database-url."
        )
    return f"sqlite:///{directory.database}"


def _write(out: Path, lines: Iterable[bytes]) -> None:
    """The whole file or none of it."""
    aside = out.with_name(f".{out.name}.new")
    try:
        with aside.open("wb") as opened:
            opened.writelines(_counted(lines))
            opened.flush()
            os.fsync(opened.fileno())
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)


def _counted(lines: Iterable[bytes]) -> Iterator[bytes]:
    for count, line in enumerate(lines):
        if count % 50_000 == 49_999:
            typer.echo(f"{count + 1} lines …", err=True)
        yield line


def _tell(verdict: Verdict, json: bool, what: str, more: dict[str, Any] | None = None) -> int:
    head = verdict.checkpoint
    counts = {
        "records": verdict.records,
        "pending": verdict.pending,
        "pruned": verdict.pruned,
        "erased": verdict.erased,
        "hidden": verdict.hidden,
        "tiles": verdict.tiles,
        "checkpoints": verdict.checkpoints,
    }
    if json:
        problems = [
            {"where": one.where, "index": one.index, "record": one.record, "sentence": one.sentence}
            for one in verdict.problems
        ]
        signed = {"origin": head.origin, "size": head.size, "root": head.root.hex()} if head else None
        told = {"good": verdict.good, "checkpoint": signed, **counts, "problems": problems}
        document({**told, "more_problems": verdict.untold, "notices": verdict.notices, **(more or {})})
        return GOOD if verdict.good else BAD
    typer.echo(f"{what} {'holds' if verdict.good else 'does not hold'}.")
    if head is not None:
        facts({"origin": head.origin, "signed": f"{head.size} records, root {head.root.hex()}"})
    facts({name: count for name, count in counts.items() if count})
    for notice in verdict.notices:
        typer.echo(f"note: {printable(notice)}")
    for one in verdict.problems:
        place = "" if one.index is None else f" record {one.index}"
        named = "" if one.record is None else f" ({printable(one.record)})"
        typer.echo(f"WRONG: {one.where}{place}{named}: {printable(one.sentence)}")
    if verdict.untold:
        typer.echo(f"… and {verdict.untold} more.")
    return GOOD if verdict.good else BAD
