"""``bastide fingerprint``: learn a fingerprint base from labelled captures, and measure how good it is."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bastide.cli import output
from bastide.cli.files import MAX_BASE, MAX_LABELS, read_file, read_text
from bastide.cli.wiring import parse_captures
from bastide.core.error import NotFound, Refused

if TYPE_CHECKING:
    from bastide.network.traffic.identity.labels import Label
    from bastide.network.traffic.identity.learn import Sample

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

AT_ONCE = 100
"""Captures of one run of the parser: each is an open file."""

LABELS = Annotated[Path, typer.Option(help="CSV with the columns capture,mac,label.", metavar="CSV")]
CAPTURES = Annotated[
    list[Path] | None,
    typer.Argument(help="The captures that the labels name; without any, the labels' own paths.", metavar="CAPTURE..."),
]


@app.command("learn")
def learn_base(
    labels: LABELS,
    out: Annotated[Path, typer.Option(help="Where the fingerprint base is written.", metavar="FILE")],
    captures: CAPTURES = None,
    note: Annotated[str, typer.Option(help="A line about the base, kept in it.")] = "",
    as_json: output.JSON = False,
) -> None:
    """Learn device types from captures of devices whose type you know."""
    from bastide.network.traffic.identity.base import encode
    from bastide.network.traffic.identity.learn import learn

    samples, missing = _samples(labels, captures or [])
    base = learn(samples, note)
    _write(out, encode(base))
    types = Counter(sample.label for sample in samples)
    told = {
        "file": str(out),
        "samples": len(samples),
        "types": dict(sorted(types.items())),
        "siblings": [list(group) for group in base.siblings],
        "cut_off": base.cut_off,
        "missing": missing,
    }
    if as_json:
        output.document(told)
        return
    typer.echo(f"Learned {len(types)} types from {len(samples)} labelled devices; written to {out}.")
    few = sorted(name for name, count in types.items() if count < 3)
    if few:
        typer.echo(f"Only one or two captures of {', '.join(few)}: more would make the answers surer.")
    for group in base.siblings:
        typer.echo(f"These say the same and cannot be told apart: {', '.join(group)}.")
    _complain_about(missing)


@app.command()
def evaluate(
    labels: LABELS,
    captures: CAPTURES = None,
    fingerprints: Annotated[Path | None, typer.Option(help="The base to measure.", metavar="FILE")] = None,
    cross_validate: Annotated[
        int, typer.Option(min=0, max=100, help="Instead of a base: learn from all parts but one, in turn.")
    ] = 0,
    as_json: output.JSON = False,
) -> None:
    """Measure a fingerprint base on devices whose type you know."""
    from bastide.network.traffic.identity.evaluate import cross_validated, figures
    from bastide.network.traffic.identity.learn import parts_of

    if (fingerprints is None) == (cross_validate < 2):
        raise Refused("Give either --fingerprints FILE or --cross-validate PARTS (2 or more).")
    base = _open(fingerprints) if fingerprints is not None else None
    samples, missing = _samples(labels, captures or [])
    if base is None:
        answers = cross_validated(samples, parts_of(samples, cross_validate))
        learned = frozenset(sample.label for sample in samples)
    else:
        answers = [(sample.label, base.answer(sample.tokens)) for sample in samples]
        learned = frozenset(base.names)
    told = figures(answers, learned) | {"missing": missing}
    if as_json:
        output.document(told)
        return
    _show(told)
    _complain_about(missing)


def _open(path: Path) -> Any:
    from bastide.network.traffic.identity.base import decode
    from bastide.network.traffic.identity.match import Matcher

    return Matcher(decode(read_file(path, MAX_BASE, "fingerprint base")))


def _samples(labels: Path, captures: Sequence[Path]) -> "tuple[list[Sample], list[dict[str, str]]]":
    """(the labelled devices that are in the captures, in the order of the labels; the labels whose device is not)."""
    from bastide.network.traffic.identity.labels import parse_labels
    from bastide.network.traffic.identity.learn import Sample

    rows = parse_labels(read_text(labels, MAX_LABELS, "labels"))
    files, places = _files(rows, labels.parent, captures)
    wanted: list[set[str]] = [set() for _ in files]
    for row, at in zip(rows, places, strict=True):
        for place in at:
            wanted[place].add(row.mac)
    said = _tokens(files, wanted)
    samples: list[Sample] = []
    missing: list[dict[str, str]] = []
    for row, at in zip(rows, places, strict=True):
        found = [said[place][row.mac] for place in at if row.mac in said[place]]
        if len(found) > 1:
            raise Refused(
                f"{row.capture} names {len(found)} captures with {row.mac}; write more of its path into the labels."
            )
        if found:
            samples.append(Sample(frozenset(found[0]), row.label))
        else:
            missing.append({"capture": row.capture, "mac": row.mac, "label": row.label})
    return samples, missing


def _files(rows: "Sequence[Label]", folder: Path, captures: Sequence[Path]) -> tuple[list[Path], list[tuple[int, ...]]]:
    """(the captures to read, for each row those that it may mean)."""
    from bastide.network.traffic.identity.labels import names

    if captures:
        whole = [str(path.resolve()) for path in captures]
        by_name: dict[str, list[int]] = {}
        for number, path in enumerate(whole):
            by_name.setdefault(Path(path).name, []).append(number)
        return list(captures), [
            tuple(at for at in by_name.get(Path(row.capture).name, ()) if names(_plain(row.capture), whole[at]))
            for row in rows
        ]
    files: dict[Path, int] = {}
    places: list[tuple[int, ...]] = []
    for row in rows:
        found = next((path for path in (Path(row.capture), folder / row.capture) if path.is_file()), None)
        if found is None:
            raise NotFound(
                f"There is no capture {row.capture}, here or beside the labels; give the captures as arguments."
            )
        places.append((files.setdefault(found, len(files)),))
    return list(files), places


def _plain(capture: str) -> str:
    """A label's path without steps upwards: what is left is its end, by which captures are told apart."""
    return capture.replace("\\", "/").rsplit("../", 1)[-1]


def _tokens(files: Sequence[Path], wanted: Sequence[set[str]]) -> list[dict[str, list[str]]]:
    """What the wanted devices of each capture say. Captures of which nothing is wanted are not read."""
    said: list[dict[str, list[str]]] = [{} for _ in files]
    read = [number for number, macs in enumerate(wanted) if macs]
    for start in range(0, len(read), AT_ONCE):
        part = read[start : start + AT_ONCE]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[Kreading captures {start + 1} to {start + len(part)} of {len(read)}")
            sys.stderr.flush()
        answer = parse_captures([files[number] for number in part], wanted=[sorted(wanted[number]) for number in part])
        for number, tokens in zip(part, answer["tokens"], strict=True):
            said[number] = tokens
    if read and sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    return said


def _write(path: Path, octets: bytes) -> None:
    """Beside it, then renamed: a base is there whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(octets)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _show(told: dict[str, Any]) -> None:
    unknown = told["unknown"]
    output.facts(
        {
            "devices of learned types": told["n"],
            "types among them": told["types"],
            "answered right": _percent(told["accuracy"]),
            "right, siblings allowed": _percent(told["accuracy_with_siblings"]),
            "known, answered unknown": f"{unknown['known_answered_unknown']} ({_percent(unknown['known_rate'])})",
            "never learned": unknown["never_learned_n"],
            "of these answered unknown": _percent(unknown["never_learned_rate"]),
            "calibration error": told["calibration_error"],
        }
    )
    typer.echo()
    output.table(
        ("type", "n", "right", "unknown", "taken for"),
        [
            (name, row["n"], row["right"], row["unknown"], ", ".join(f"{k} {v}" for k, v in row["taken_for"].items()))
            for name, row in told["per_type"].items()
        ],
        empty="No device of a learned type is in the captures.",
    )
    typer.echo()
    output.table(
        ("confidence", "answers", "stated", "right"),
        [
            (f"{row['from']:.2f} to {row['to']:.2f}", row["n"], _percent(row["confidence"]), _percent(row["accuracy"]))
            for row in told["calibration"]
        ],
        empty="Nothing was answered.",
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share * 100:.1f} %"


def _complain_about(missing: Sequence[dict[str, str]]) -> None:
    if missing:
        first = missing[0]
        typer.echo(
            f"{len(missing)} labelled devices are not in their captures, the first {first['mac']} in {first['capture']}.",
            err=True,
        )
