"""``bastide backup``: everything that an installation cannot be made again from, in one sealed file."""

import secrets
from base64 import b32encode
from pathlib import Path
from typing import Annotated

import typer

from bastide.cli.backup.wiring import Backup, DataDirectory, SystemClock, look, restore, take
from bastide.cli.config import data_directory
from bastide.cli.files import read_text
from bastide.cli.output import DATA, JSON, document, facts, printable
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)
FILE = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
PASSPHRASE = Annotated[
    Path | None, typer.Option("--passphrase-file", metavar="PATH", help="A file whose first line is the passphrase.")
]
SHORTEST = 12


@app.command()
def create(
    file: FILE,
    passphrase_file: PASSPHRASE = None,
    without_database: Annotated[
        bool, typer.Option("--without-database", help="All but the state, where PostgreSQL has it.")
    ] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Back up this installation, while it runs. Without a passphrase one is made, and shown once."""
    given = _given(passphrase_file)
    passphrase = given or _new_passphrase()
    directory = DataDirectory(data_directory(data))
    made = take(directory, file, passphrase, SystemClock().now(), database=not without_database)
    told = _told(made) | {"file": str(file), "size": str(file.stat().st_size)}
    if not given:
        told["passphrase"] = passphrase
    if json:
        document(told)
        return
    typer.echo(printable(f"{file} holds this installation as of {made.made_at}:"))
    facts({f"  {name}": value for name, value in told.items() if name not in ("file", "made_at")})
    if not given:
        typer.echo(
            "Keep the passphrase elsewhere than the file: it is not kept here, and without it the backup is lost."
        )


@app.command()
def check(file: FILE, passphrase_file: PASSPHRASE = None, json: JSON = False) -> None:
    """Read a backup to its end, and say what it holds. Nothing is written."""
    told = _told(look(file, _asked(passphrase_file)))
    document(told) if json else facts(told)


@app.command("restore")
def restore_(file: FILE, passphrase_file: PASSPHRASE = None, json: JSON = False, data: DATA = "") -> None:
    """Put a backup back, into a data directory where nothing is. Then `bastide up`."""
    directory = DataDirectory(data_directory(data))
    told = _told(restore(file, directory, _asked(passphrase_file))) | {"data": str(directory.path)}
    if json:
        document(told)
        return
    typer.echo(printable(f"{directory.path} is as it was at {told['made_at']}. Before you start it with `bastide up`:"))
    typer.echo(
        "  - see that the old one never runs again: two with the same keys would each sign what the other does not know;"
    )
    typer.echo("  - revoke again what was revoked after that time, and let devices that enrolled after it enrol anew.")


def _told(made: Backup) -> dict[str, str]:
    return {
        "made_at": made.made_at,
        "files": str(made.files),
        "octets": str(made.octets),
        "ledger records": str(made.records),
    }


def _given(passphrase_file: Path | None) -> str:
    if passphrase_file is None:
        return ""
    passphrase = read_text(passphrase_file, 4096, "passphrase").partition("\n")[0].strip()
    if len(passphrase) < SHORTEST:
        raise Refused(
            f"The passphrase in {passphrase_file} has {len(passphrase)} characters; use {SHORTEST} or more.",
            code="backup:passphrase",
        )
    return passphrase


def _asked(passphrase_file: Path | None) -> str:
    return _given(passphrase_file) or str(typer.prompt("Passphrase", hide_input=True)).strip()


def _new_passphrase() -> str:
    """125 random bits, in groups of five."""
    text = b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()[:25]
    return "-".join(text[start : start + 5] for start in range(0, 25, 5))
