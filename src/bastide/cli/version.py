"""``bastide version``: the order of versions and what a range holds, by each ecosystem's own rules."""

from typing import Annotated

import typer

from bastide.cli.output import JSON, document, printable
from bastide.operations.component import vers
from bastide.operations.component.version import compare, scheme_named

app = typer.Typer(rich_markup_mode=None, help="Version order and ranges; an order is never guessed.")

SCHEME = Annotated[
    str, typer.Argument(metavar="SCHEME", help="The ecosystem: deb, rpm, apk, npm, pypi, maven, semver, …")
]


@app.command("compare")
def compare_versions(
    scheme: SCHEME,
    one: Annotated[str, typer.Argument(metavar="A")],
    other: Annotated[str, typer.Argument(metavar="B")],
    json: JSON = False,
) -> None:
    """Print how A stands to B: <, = or >; or unknown, and why."""
    known = scheme_named(scheme)
    found = compare(known, one, other)
    if json:
        document({"scheme": known.name, "a": one, "b": other, "answer": found.order.value, "because": found.because})
    else:
        _say(found.order.value, found.because)


@app.command()
def contains(
    range_: Annotated[
        str, typer.Argument(metavar="VERS", help="A canonical range, such as 'vers:npm/>=1.0.0|<2.0.0'.")
    ],
    version: Annotated[str, typer.Argument(metavar="VERSION")],
    json: JSON = False,
) -> None:
    """Print whether the range holds the version: true or false; or unknown, and why."""
    read = vers.parse(range_)
    found = vers.contains(read, version)
    if json:
        document({"range": str(read), "version": version, "answer": found.answer.value, "because": found.because})
    else:
        _say(found.answer.value, found.because if found.answer is vers.Answer.UNKNOWN else "")


@app.command("range")
def native_range(
    scheme: SCHEME,
    text: Annotated[str, typer.Argument(metavar="RANGE", help="As the ecosystem writes it, such as '^1.2 || 2.x'.")],
    json: JSON = False,
) -> None:
    """Print an ecosystem's own range as VERS."""
    read = vers.from_native(scheme, text)
    if json:
        document({"scheme": read.scheme.name, "native": text, "range": str(read)})
    else:
        typer.echo(printable(str(read)))


def _say(answer: str, because: str) -> None:
    typer.echo(printable(f"{answer}: {because}" if because else answer))
