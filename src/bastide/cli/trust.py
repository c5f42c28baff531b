"""``bastide trust``: the console's root in the stores of this machine, so that browsers open it without a warning.

Two kinds of store, each only where it is there and may be written:

- NSS databases, which Chromium (``~/.pki/nssdb``) and Firefox (each profile) read; ``certutil`` writes them.
- The system's (``/usr/local/share/ca-certificates`` and ``update-ca-certificates``), which curl and most programs read; it
  needs root.

What is added is exactly one certificate, found again by its name and content; ``remove`` takes that one out and no other. A
browser believes a root for every site, so whoever had this root's key could speak for any: it is with the signer and never
leaves it. ``install`` says so, and prints the fingerprint.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from bastide.cli.output import DATA, JSON, document, printable
from bastide.cli.wiring import DataDirectory
from bastide.core.error import BastideError

app = typer.Typer(rich_markup_mode=None)

System = Annotated[bool, typer.Option("--system/--no-system", help="The system's store too, not only the browsers'.")]
SYSTEM = Path("/usr/local/share/ca-certificates")
_PATIENCE_S = 60
_NSS_TOOLS = "libnss3-tools (Debian), nss-tools (Fedora) or nss (Arch)"


class NothingDone(BastideError):
    """No store could be changed."""

    code = "trust:nothing:done"


@dataclass(frozen=True, slots=True)
class Root:
    """The console's root. ``name`` is what it is called in the stores: ours, and this root's alone."""

    path: Path
    certificate: x509.Certificate

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def name(self) -> str:
        return f"Bastide root {self.fingerprint[:16]}"

    @property
    def system_file(self) -> Path:
        return SYSTEM / f"bastide-{self.fingerprint[:16]}.crt"


@dataclass(frozen=True, slots=True)
class Step:
    """What was done to one store: ``done``, ``unchanged``, ``skipped`` (with the reason) or ``failed``."""

    store: str
    outcome: str
    detail: str


@app.callback()
def trust() -> None:
    """Let this machine's browsers trust the console, or take that back."""


@app.command()
def install(system: System = True, json: JSON = False, data: DATA = "") -> None:
    """Add the console's root to Chromium's, Firefox's and (as root) the system's store."""
    root = read_root(data)
    steps = [step(root) for step in _steps(_nss_install, _system_install if system else None)]
    _tell(root, steps, json, "a browser believes this root for every site, and its key is with the signer alone")


@app.command()
def remove(system: System = True, json: JSON = False, data: DATA = "") -> None:
    """Take the console's root out of the same stores again."""
    root = read_root(data)
    steps = [step(root) for step in _steps(_nss_remove, _system_remove if system else None)]
    _tell(root, steps, json, "the console's root is not held there any more")


def read_root(data: str) -> Root:
    """The root of an installation that has run at least once."""
    path = DataDirectory(Path(data or "~/.local/share/bastide").expanduser()).trust / "root.pem"
    try:
        return Root(path, x509.load_pem_x509_certificate(path.read_bytes()))
    except FileNotFoundError:
        raise NothingDone(
            f"There is no root at {path} yet: start Bastide once (`bastide up`), or name its --data."
        ) from None
    except ValueError:
        raise NothingDone(f"{path} is not a certificate; `bastide up` writes it, so put back the original.") from None


def nss_databases() -> Iterator[tuple[str, Path]]:
    """The NSS databases of whoever asks. Chromium's is made where Chromium is installed and never ran."""
    home = Path.home()
    chromium = home / ".pki" / "nssdb"
    if chromium.is_dir() or any(shutil.which(name) for name in ("chromium", "google-chrome", "chromium-browser")):
        yield "Chromium", chromium
    for profiles in (home / ".mozilla" / "firefox", home / "snap/firefox/common/.mozilla/firefox"):
        for database in sorted(profiles.glob("*/cert9.db")):
            yield f"Firefox ({database.parent.name})", database.parent


def _steps(nss: Callable[..., Step], system: Callable[[Root], Step] | None) -> Iterator[Callable[[Root], Step]]:
    for store, folder in nss_databases():
        yield partial(nss, store=store, folder=folder)
    if system is not None:
        yield system


def _nss_install(root: Root, store: str, folder: Path) -> Step:
    certutil = shutil.which("certutil")
    if certutil is None:
        by_hand = f'certutil -d sql:{folder} -A -t "C,," -n "{root.name}" -i {root.path}'
        return Step(store, "skipped", f"certutil is not installed: install {_NSS_TOOLS}, or then run: {by_hand}")
    if _nss_holds(certutil, root, folder):
        return Step(store, "unchanged", f"{folder} holds it already")
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o700)
        made = _run([certutil, "-d", f"sql:{folder}", "-N", "--empty-password"])
        if made:
            return Step(store, "failed", made)
    # C: trusted to sign servers; nothing for mail or code.
    failed = _run([certutil, "-d", f"sql:{folder}", "-A", "-t", "C,,", "-n", root.name, "-i", str(root.path)])
    return Step(store, "failed", failed) if failed else Step(store, "done", f"added to {folder} as “{root.name}”")


def _nss_remove(root: Root, store: str, folder: Path) -> Step:
    certutil = shutil.which("certutil")
    if certutil is None:
        return Step(
            store, "skipped", f'certutil is not installed; by hand: certutil -d sql:{folder} -D -n "{root.name}"'
        )
    if not _nss_holds(certutil, root, folder):
        return Step(store, "unchanged", f"{folder} does not hold it")
    failed = _run([certutil, "-d", f"sql:{folder}", "-D", "-n", root.name])
    return Step(store, "failed", failed) if failed else Step(store, "done", f"taken out of {folder}")


def _nss_holds(certutil: str, root: Root, folder: Path) -> bool:
    """Whether the database holds this very certificate under our name."""
    if not folder.is_dir():
        return False
    found = subprocess.run(
        [certutil, "-d", f"sql:{folder}", "-L", "-n", root.name, "-r"], capture_output=True, timeout=_PATIENCE_S
    )
    return found.returncode == 0 and found.stdout == root.certificate.public_bytes(serialization.Encoding.DER)


def _system_install(root: Root) -> Step:
    tool = _system_tool()
    if tool is None:
        return Step("system", "skipped", f"no update-ca-certificates here; add {root.path} the way this system does it")
    if root.system_file.exists():
        return Step("system", "unchanged", f"{root.system_file} is there already")
    if os.geteuid() != 0:
        return Step(
            "system", "skipped", "needs root (for curl and the like; browsers do without): sudo bastide trust install"
        )
    shutil.copyfile(root.path, root.system_file)
    failed = _run([tool])
    if failed:
        root.system_file.unlink(missing_ok=True)
        return Step("system", "failed", failed)
    return Step("system", "done", f"written to {root.system_file}")


def _system_remove(root: Root) -> Step:
    tool = _system_tool()
    if tool is None or not root.system_file.exists():
        return Step("system", "unchanged", "the system's store does not hold it")
    if os.geteuid() != 0:
        return Step("system", "skipped", "needs root: sudo bastide trust remove")
    root.system_file.unlink()
    failed = _run([tool, "--fresh"])
    return Step("system", "failed", failed) if failed else Step("system", "done", f"{root.system_file} removed")


def _system_tool() -> str | None:
    return shutil.which("update-ca-certificates", path=f"{os.defpath}:/usr/sbin:/sbin") if SYSTEM.is_dir() else None


def _run(command: list[str]) -> str:
    """Runs a tool; empty where it succeeded, else its last line."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    said = (ended.stderr or ended.stdout).strip().splitlines()
    return "" if ended.returncode == 0 else (said[-1] if said else f"{command[0]} ended with {ended.returncode}")


def _tell(root: Root, steps: list[Step], json: bool, outcome: str) -> None:
    if json:
        document(
            {
                "root": str(root.path),
                "sha256": root.fingerprint,
                "stores": [{"store": one.store, "outcome": one.outcome, "detail": one.detail} for one in steps],
            }
        )
    else:
        typer.echo(printable(f"{root.certificate.subject.rfc4514_string()}, SHA-256 {root.fingerprint}"))
        for one in steps:
            typer.echo(printable(f"  {one.store}: {one.outcome}: {one.detail}"))
    changed = [one.store for one in steps if one.outcome in ("done", "unchanged")]
    if not changed:
        raise NothingDone("No store was changed; what to do is said above for each.")
    if not json:
        typer.echo(printable(f"In place for {', '.join(changed)}: {outcome}. Restart a browser that is open."))
