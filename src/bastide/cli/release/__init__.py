"""``bastide release``: signed releases, made by several people, published for devices to fetch."""

import hashlib
import tempfile
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.output import JSON, document, printable, table
from bastide.cli.release.wiring import Repository, SystemClock, as_json, new_key, read_key
from bastide.core.error import NotFound, Refused, Unreadable
from bastide.core.ids import is_name
from bastide.operations.component.sbom import read_sbom

app = typer.Typer(no_args_is_help=True, help="Signed releases: made by several people, published for devices to fetch.")

Folder = Annotated[Path, typer.Argument(metavar="REPOSITORY", help="The folder of the repository.")]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file with the passphrase of the key (its first line).")
]
Online = Annotated[Path, typer.Option("--online-key", metavar="PEM", help="The key of snapshot and timestamp.")]


def _secret(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        return file.read_bytes().split(b"\n")[0]
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}.") from error


def _open(folder: Path) -> Repository:
    return Repository(folder, SystemClock().now())


@app.command()
def key(
    out: Annotated[Path, typer.Argument(metavar="PEM", help="Where the key goes.")], passphrase_file: Passphrase = None
) -> int:
    """Make a key: one for each person who signs, kept off this machine."""
    typer.echo(new_key(out, _secret(passphrase_file)))
    return 0


@app.command()
def init(
    folder: Folder,
    root_key: Annotated[
        list[Path], typer.Option("--root-key", metavar="PEM", help="A key of the root; again for more.")
    ],
    targets_key: Annotated[
        list[Path], typer.Option("--targets-key", metavar="PEM", help="A key of those who sign releases.")
    ],
    online_key: Online,
    root_threshold: Annotated[int, typer.Option("--root-threshold", help="How many root keys must sign.")] = 1,
    targets_threshold: Annotated[int, typer.Option("--targets-threshold", help="How many must sign a release.")] = 1,
    passphrase_file: Passphrase = None,
) -> int:
    """Begin a repository: its root, which devices are shipped with, and empty targets."""
    secret = _secret(passphrase_file)
    roots, targets = ([read_key(path, secret) for path in paths] for paths in (root_key, targets_key))
    Repository.create(
        folder, SystemClock().now(), (roots, root_threshold), (targets, targets_threshold), read_key(online_key, secret)
    )
    typer.echo(
        f"Ship {folder / 'metadata' / '1.root.json'} with each device. Take the root and targets keys off this machine."
    )
    return 0


@app.command()
def create(
    folder: Folder,
    file: Annotated[Path, typer.Option("--file", help="The image.")],
    name: Annotated[str, typer.Option("--name", help="What it is for, such as door-camera.")],
    version: Annotated[str, typer.Option("--version", help="Its version.")],
    counter: Annotated[
        int,
        typer.Option("--counter", min=0, help="Its security counter: devices never go below one that they confirmed."),
    ],
    hardware: Annotated[list[str], typer.Option("--hardware", help="Hardware that it runs on; again for more.")],
    sbom: Annotated[Path | None, typer.Option("--sbom", help="Its SBOM (CycloneDX or SPDX).")] = None,
    provenance: Annotated[
        Path | None, typer.Option("--provenance", help="Its provenance (an in-toto statement).")
    ] = None,
    requires: Annotated[
        list[str] | None, typer.Option("--requires", help="Another release that must run before, NAME=VERSION.")
    ] = None,
    supported_until: Annotated[
        str, typer.Option("--supported-until", help="The day on which its support ends, 2029-12-31.")
    ] = "",
    notes: Annotated[str, typer.Option("--notes", help="What is new in it, for people.")] = "",
    json: JSON = False,
) -> int:
    """Put a release into what is signed next. Nothing is published by this."""
    if not is_name(name):
        raise Refused(f"{name[:60]!r} does not name a release; use a-z, 0-9, '.', '_' and '-', 63 at most.")
    if not version or len(version) > 64 or "/" in version or not version.isprintable() or version.startswith("."):
        raise Refused(f"{version[:60]!r} is no version; use 1 to 64 printable characters without a slash.")
    if supported_until:
        try:
            date.fromisoformat(supported_until)
        except ValueError as error:
            raise Refused(f"{supported_until!r} is no day; write 2029-12-31.") from error
    facts: dict[str, Any] = {"counter": counter, "hardware": sorted(set(hardware)), "notes": notes[:2000]}
    if supported_until:
        facts["supported_until"] = supported_until
    if requires:
        facts["requires"] = dict(_pair(one) for one in requires)
    if sbom is not None:
        content = _read(sbom)
        facts["sbom"] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "components": len(read_sbom(content).components),
        }
    if provenance is not None:
        facts["provenance"] = {"sha256": hashlib.sha256(_read(provenance)).hexdigest()}
    made = _open(folder).stage(name, version, file, facts)
    if json:
        document(as_json(made))
    else:
        typer.echo(f"{made.name} {made.version} waits for signatures: bastide release sign {folder} --key PEM")
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, version = text.partition("=")
    if not equals or not is_name(name) or not version:
        raise Refused(f"{text[:60]!r} is not NAME=VERSION.")
    return name, version


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    if not content:
        raise Unreadable(f"{path} is empty.")
    return content


@app.command()
def sign(
    folder: Folder,
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="A key that the root names for targets.")],
    passphrase_file: Passphrase = None,
    json: JSON = False,
) -> int:
    """Sign what is staged, after looking at it. Each of the people who must sign does so."""
    told = _open(folder).sign(read_key(key, _secret(passphrase_file)))
    if json:
        document({"version": told.version, "signatures": told.signatures, "threshold": told.threshold})
    else:
        rest = told.threshold - told.signatures
        typer.echo(
            f"{told.signatures} of {told.threshold} signatures."
            + (f" {rest} more to go." if rest > 0 else " Publish it now.")
        )
    return 0


@app.command()
def publish(folder: Folder, online_key: Online, passphrase_file: Passphrase = None, json: JSON = False) -> int:
    """Publish what enough people have signed. Devices see it as a whole or not at all."""
    version = _open(folder).publish(read_key(online_key, _secret(passphrase_file)))
    document({"targets": version}) if json else typer.echo(f"Published: targets {version}.")
    return 0


@app.command()
def refresh(folder: Folder, online_key: Online, passphrase_file: Passphrase = None) -> int:
    """Make snapshot and timestamp anew, before they end (7 days)."""
    _open(folder).refresh(read_key(online_key, _secret(passphrase_file)))
    return 0


@app.command()
def withdraw(
    folder: Folder,
    name: Annotated[str, typer.Option("--name")],
    version: Annotated[str, typer.Option("--version")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is signed and kept.")],
) -> int:
    """Take a release out of what is signed next. It is never offered again, under no signature."""
    if not reason.strip():
        raise Refused("Say why it is withdrawn: --reason.")
    _open(folder).withdraw(name, version, reason[:500])
    typer.echo(f"{printable(name)} {printable(version)} goes with the next targets. Sign and publish them.")
    return 0


@app.command()
def verify(
    folder: Folder,
    root: Annotated[Path, typer.Option("--root", help="The root that devices are shipped with.")],
    json: JSON = False,
) -> int:
    """Do what a device does, from its root on: all metadata, then every file. Ends with 1 where it would trust something not."""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            releases = _open(folder).verify(root, Path(scratch))
    except Refused as error:
        document({"verified": False, "because": error.sentence}) if json else typer.echo(printable(error.sentence))
        return 1
    if json:
        document({"verified": True, "releases": [as_json(one) for one in releases]})
    else:
        typer.echo(f"A device with this root trusts all of it: {len(releases)} releases.")
    return 0


@app.command("list")
def list_releases(folder: Folder, json: JSON = False) -> int:
    """What is published, what was withdrawn."""
    repository = _open(folder)
    releases, withdrawn = repository.releases(), repository.withdrawn()
    if json:
        document({"releases": [as_json(one) for one in releases], "withdrawn": dict(withdrawn)})
        return 0
    rows = [
        (
            one.name,
            one.version,
            one.facts.get("counter", 0),
            ", ".join(one.facts.get("hardware", ())),
            f"{one.length:,}",
            one.digest[:16],
        )
        for one in releases
    ]
    table(("Name", "Version", "Counter", "Hardware", "Octets", "SHA-256"), rows, empty="Nothing is published.")
    for path, reason in sorted(withdrawn.items()):
        typer.echo(f"Withdrawn: {printable(path)}: {printable(reason)}")
    return 0
