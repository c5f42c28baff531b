"""A release repository on disk (TUF 1.0.33): what is published, what waits for signatures, and the files by their hash.

    metadata/   N.root.json N.targets.json N.snapshot.json timestamp.json      what devices fetch
    targets/    NAME/VERSION/SHA256.FILE                                        what they download
    staged/     targets.json                                                    the next targets, until enough people have signed

Root and targets keys are offline, m of n: whoever holds one signs with it and takes it away again. The online key signs snapshot
and timestamp and nothing else; stolen, it can hold updates back, and forge none. What was withdrawn is remembered in the targets
role itself, so that it is signed, too, and nobody puts it back by mistake.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api import exceptions
from tuf.api._payload import MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.metadata import Metadata
from tuf.api.serialization import DeserializationError
from tuf.ngclient.fetcher import FetcherInterface

from bastide.adapters.tuf.client import Client, initialise
from bastide.core.error import Conflict, NotFound, Refused, Unavailable, Unreadable
from bastide.device.release.release import Release

ROOT_DAYS, TARGETS_DAYS, SNAPSHOT_DAYS, TIMESTAMP_DAYS = 365, 180, 30, 7
MAX_METADATA: Final = 16 << 20
ROLES: Final = ("root", "targets", "snapshot", "timestamp")


class ReleaseRefused(Refused):
    """A release that may not be made, signed or published."""

    code = "release:refused"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the next targets are: who must sign, who has."""

    version: int
    signatures: int
    threshold: int
    releases: tuple[Release, ...]

    @property
    def is_signed(self) -> bool:
        return self.signatures >= self.threshold


def new_key(path: Path, passphrase: bytes = b"") -> str:
    """Writes a new Ed25519 key (PKCS#8, mode 0600); its TUF key id. ``Conflict`` where the file is there already."""
    key = Ed25519PrivateKey.generate()
    sealing = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
            made.write(octets)
            os.fsync(made.fileno())
    except FileExistsError as error:
        raise Conflict(f"{path} is there already; a key is never written over. Name another file.") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error
    return str(CryptoSigner(key).public_key.keyid)


def read_key(path: Path, passphrase: bytes = b"") -> CryptoSigner:
    """A key to sign with. ``Unreadable`` where it is none, or the passphrase is not its."""
    try:
        key = load_pem_private_key(path.read_bytes(), passphrase or None)
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise Unreadable(f"{path} is no private key in PEM, or its passphrase is another: {error}.") from error
    return CryptoSigner(cast(Any, key))


class Repository:
    """A repository in a folder. ``now`` is handed in; it begins every term."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self._folder = folder
        self._now = now.replace(microsecond=0)

    @classmethod
    def create(
        cls,
        folder: Path,
        now: datetime,
        root: tuple[Sequence[CryptoSigner], int],
        targets: tuple[Sequence[CryptoSigner], int],
        online: CryptoSigner,
    ) -> "Repository":
        """The first root, by all its keys; empty targets; snapshot and timestamp."""
        if (folder / "metadata").exists():
            raise Conflict(f"{folder} is a repository already.")
        for name, (signers, threshold) in (("root", root), ("targets", targets)):
            if not 1 <= threshold <= len({signer.public_key.keyid for signer in signers}):
                raise ReleaseRefused(
                    f"{threshold} of {len(signers)} keys cannot be demanded for {name}; give enough different ones."
                )
        made = cls(folder, now)
        first = Root(expires=made._ends(ROOT_DAYS), consistent_snapshot=True)
        for name, (signers, threshold) in (("root", root), ("targets", targets)):
            for signer in signers:
                first.add_key(signer.public_key, name)
            first.roles[name].threshold = threshold
        for name in ("snapshot", "timestamp"):
            first.add_key(online.public_key, name)
        made._write("1.root.json", _signed(Metadata(first), root[0]))
        made._write("1.targets.json", _signed(Metadata(Targets(expires=made._ends(TARGETS_DAYS))), targets[0]))
        made._publish(online, 1, 1, 1)
        return made

    @property
    def root(self) -> Root:
        return cast(Root, self._read(f"{self._newest('root')}.root.json").signed)

    def releases(self) -> tuple[Release, ...]:
        """What is published and not withdrawn."""
        return _releases(self._targets())

    def withdrawn(self) -> Mapping[str, str]:
        """The paths that were withdrawn, with the reason."""
        return dict(self._targets().unrecognized_fields.get("x-bastide-withdrawn", {}))

    def stage(self, name: str, version: str, file: Path, facts: Mapping[str, Any]) -> Release:
        """Puts a release into the next targets, which then have no signatures. The file is copied in under its hash."""
        targets = self._next()
        path = f"{name}/{version}/{file.name}"
        if any(one.name == name and one.version == version for one in _releases(targets)):
            raise Conflict(f"{name} {version} is there already; a release is never changed. Give it another version.")
        if path in targets.unrecognized_fields.get("x-bastide-withdrawn", {}):
            raise ReleaseRefused(
                f"{name} {version} was withdrawn, and is never offered again. Give it another version."
            )
        lower = [one for one in _releases(targets) if one.name == name and one.facts["counter"] > facts["counter"]]
        if lower:
            raise ReleaseRefused(
                f"The security counter {facts['counter']} is below {lower[0].facts['counter']} of {name} {lower[0].version}: "
                "devices that took that one would never start this one."
            )
        try:
            content = file.read_bytes()
        except OSError as error:
            raise NotFound(f"{file} cannot be read: {error.strerror}.") from error
        target = TargetFile.from_data(path, content, ["sha256"])
        target.unrecognized_fields["custom"] = {"name": name, "version": version, **facts}
        targets.targets[path] = target
        place = self._folder / "targets" / name / version / f"{target.hashes['sha256']}.{file.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        _keep(place, content)
        self._stage(targets)
        return _release(target)

    def withdraw(self, name: str, version: str, reason: str) -> None:
        """Takes a release out of the next targets, and remembers that it was there."""
        targets = self._next()
        paths = [one.path for one in _releases(targets) if one.name == name and one.version == version]
        if not paths:
            raise NotFound(f"There is no {name} {version} to withdraw; `bastide release list` shows what there is.")
        gone = dict(targets.unrecognized_fields.get("x-bastide-withdrawn", {}))
        for path in paths:
            del targets.targets[path]
            gone[path] = reason
        targets.unrecognized_fields["x-bastide-withdrawn"] = gone
        self._stage(targets)

    def sign(self, signer: CryptoSigner) -> Standing:
        """Adds a signature to the staged targets. ``ReleaseRefused`` where the root does not name the key."""
        staged = self._staged()
        role = self.root.roles["targets"]
        if signer.public_key.keyid not in role.keyids:
            raise ReleaseRefused("The root does not name this key for targets; sign with one that it names.")
        staged.sign(signer, append=True)
        _keep(self._folder / "staged" / "targets.json", staged.to_bytes())
        return self.standing()

    def standing(self) -> Standing:
        """Who has signed what is staged."""
        staged = self._staged()
        role = self.root.roles["targets"]
        signed = self.root.get_verification_result("targets", staged.signed_bytes, staged.signatures)
        return Standing(
            staged.signed.version, len(signed.signed), role.threshold, _releases(cast(Targets, staged.signed))
        )

    def publish(self, online: CryptoSigner) -> int:
        """Makes what is staged the targets, with a new snapshot and timestamp; the version. Enough people must have signed."""
        staged, told = self._staged(), self.standing()
        if not told.is_signed:
            raise ReleaseRefused(
                f"{told.signatures} of the {told.threshold} signatures that are needed are there. "
                "Sign first: bastide release sign"
            )
        version = staged.signed.version
        self._write(f"{version}.targets.json", staged.to_bytes())
        self._publish(online, self._newest("snapshot") + 1, version, self._stamp() + 1)
        (self._folder / "staged" / "targets.json").unlink()
        return int(version)

    def refresh(self, online: CryptoSigner) -> None:
        """A new snapshot and timestamp over the same targets, before the old ones end."""
        self._publish(online, self._newest("snapshot") + 1, self._newest("targets"), self._stamp() + 1)

    def verify(self, root: Path, scratch: Path) -> tuple[Release, ...]:
        """Does what a device does, beginning with its root: metadata, then every file. The releases that it would be offered."""
        initialise(scratch, root)
        client = Client(scratch, "file:///metadata", fetcher=_Local(self._folder))
        client.refresh()
        for release in self.releases():
            client.download(release.path, "file:///targets", scratch / "targets")
        return self.releases()

    # Files ----------------------------------------------------------------------------------------------------------------

    def _publish(self, online: CryptoSigner, snapshot: int, targets: int, timestamp: int) -> None:
        made = Snapshot(snapshot, expires=self._ends(SNAPSHOT_DAYS), meta={"targets.json": MetaFile(targets)})
        octets = _signed(Metadata(made), [online])
        self._write(f"{snapshot}.snapshot.json", octets)
        named = MetaFile(snapshot, len(octets), {"sha256": sha256(octets).hexdigest()})
        # Last: until it is there, devices see the state before as a whole.
        stamp = Timestamp(timestamp, expires=self._ends(TIMESTAMP_DAYS), snapshot_meta=named)
        self._write("timestamp.json", _signed(Metadata(stamp), [online]))

    def _next(self) -> Targets:
        """The targets to change: those that are staged, else the published ones with the next version."""
        if (self._folder / "staged" / "targets.json").exists():
            return cast(Targets, self._staged().signed)
        targets = self._targets()
        targets.version += 1
        targets.expires = self._ends(TARGETS_DAYS)
        return targets

    def _stage(self, targets: Targets) -> None:
        (self._folder / "staged").mkdir(exist_ok=True)
        _keep(self._folder / "staged" / "targets.json", Metadata(targets).to_bytes())

    def _staged(self) -> Metadata[Any]:
        path = self._folder / "staged" / "targets.json"
        if not path.exists():
            raise NotFound("Nothing is staged. Make a release first: bastide release create")
        return _load(path)

    def _targets(self) -> Targets:
        return cast(Targets, self._read(f"{self._newest('targets')}.targets.json").signed)

    def _stamp(self) -> int:
        return int(self._read("timestamp.json").signed.version)

    def _newest(self, role: str) -> int:
        found = [
            int(path.name.split(".")[0])
            for path in (self._folder / "metadata").glob(f"*.{role}.json")
            if path.name.split(".")[0].isdigit()
        ]
        if not found:
            raise NotFound(f"{self._folder} is no repository; make one first: bastide release init")
        return max(found)

    def _read(self, name: str) -> Metadata[Any]:
        return _load(self._folder / "metadata" / name)

    def _write(self, name: str, octets: bytes) -> None:
        (self._folder / "metadata").mkdir(parents=True, exist_ok=True)
        _keep(self._folder / "metadata" / name, octets)

    def _ends(self, days: int) -> datetime:
        return self._now + timedelta(days=days)


class _Local(FetcherInterface):
    """Reads a repository's own files, for a check without a server."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._folder / url.removeprefix("file:///")
        if not path.is_file():
            raise exceptions.DownloadHTTPError(f"there is no {path.name}", 404)
        return iter([path.read_bytes()])


def _signed(metadata: Metadata[Any], signers: Sequence[CryptoSigner]) -> bytes:
    for signer in signers:
        metadata.sign(signer, append=True)
    return bytes(metadata.to_bytes())


def _load(path: Path) -> Metadata[Any]:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    try:
        if len(octets) > MAX_METADATA:
            raise ValueError("it is larger than 16 MiB")
        return Metadata.from_bytes(octets)
    except (DeserializationError, ValueError) as error:
        raise Unreadable(f"{path} is no TUF metadata: {error}.") from error


def _releases(targets: Targets) -> tuple[Release, ...]:
    found = [_release(target) for target in targets.targets.values() if "custom" in target.unrecognized_fields]
    return tuple(sorted(found, key=lambda one: (one.name, one.facts.get("counter", 0), one.version)))


def _release(target: TargetFile) -> Release:
    facts = dict(target.unrecognized_fields["custom"])
    return Release(
        str(facts.pop("name")), str(facts.pop("version")), target.path, target.length, target.hashes["sha256"], facts
    )


def _keep(path: Path, octets: bytes) -> None:
    """Whole or not at all."""
    aside = path.with_name(path.name + ".new")
    try:
        with aside.open("wb") as made:
            cast(IO[bytes], made).write(octets)
            made.flush()
            os.fsync(made.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error


def as_json(release: Release) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "name": release.name,
        "version": release.version,
        "path": release.path,
        "length": release.length,
        "sha256": release.digest,
        **release.facts,
    }
