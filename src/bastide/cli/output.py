"""How commands answer: a table or lines for people, one JSON document for programs (``--json``)."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text for people.")]
DATA = Annotated[
    str, typer.Option("--data", envvar="BASTIDE_DATA", help="The data directory; without it ~/.local/share/bastide.")
]


def document(value: Any) -> None:
    """Prints a value as one JSON document; times in ISO 8601, enums by value."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Prints rows for people, aligned, no wider than the widest cell; ``empty`` where there are none."""
    if not rows:
        typer.echo(empty)
        return
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(len(column), *(len(row[place]) for row in cells)) for place, column in enumerate(columns)]
    emphasis = sys.stdout is not None and sys.stdout.isatty()
    typer.echo(typer.style(_line(columns, widths), bold=True) if emphasis else _line(columns, widths))
    for row in cells:
        typer.echo(_line(row, widths))


def facts(pairs: Mapping[str, object]) -> None:
    """Prints named facts under each other, the names aligned."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        typer.echo(f"{name:<{width}}  {printable(str(value))}")


def ago(moment: datetime | str | None, now: datetime | None = None) -> str:
    """``3 minutes ago``: how a person says when something was; ``never`` for None."""
    if moment is None:
        return "never"
    then = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    seconds = ((now or datetime.now(UTC)) - then).total_seconds()
    ahead = seconds < 0
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count = int(abs(seconds) // size)
        if count:
            words = f"{count} {unit}{'s' if count != 1 else ''}"
            return f"in {words}" if ahead else f"{words} ago"
    return "now"


def printable(text: str) -> str:
    """The text without what would steer a terminal: what devices say of themselves is printed here."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
