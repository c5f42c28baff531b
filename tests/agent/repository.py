"""A TUF repository in memory that a test edits as it likes, served over loopback.

Written from the specification (1.0.33), not from any client: what a test breaks stays broken until it mends it.
"""

import contextlib
import http.server
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import (
    DelegatedRole,
    Delegations,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.metadata import Metadata

from bastide.agent.tuf_client import main

TOP = ("root", "timestamp", "snapshot", "targets")
DAY = timedelta(days=1)


@dataclass
class Repository:
    """``metadata`` by role; ``files`` what is served (``metadata``, ``targets``), ``asked`` what was asked for."""

    metadata: dict[str, Metadata[Any]] = field(default_factory=dict)
    signers: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=dict)
    slowly: dict[str, float] = field(default_factory=dict)
    url: str = ""
    mac: Callable[[], CryptoSigner] = CryptoSigner.generate_ed25519

    def __post_init__(self) -> None:
        expires = datetime.now(UTC).replace(microsecond=0) + 30 * DAY
        signed = (
            Root(expires=expires, consistent_snapshot=True),
            Timestamp(expires=expires, snapshot_meta=MetaFile(1)),
            Snapshot(expires=expires, meta={"targets.json": MetaFile(1)}),
            Targets(expires=expires),
        )
        self.metadata = {name: Metadata(one) for name, one in zip(TOP, signed, strict=True)}
        for name in TOP:
            self.add_key(name)
        self.publish(*TOP)

    # The roles as values to edit
    @property
    def root(self) -> Root:
        return self.metadata["root"].signed  # type: ignore[no-any-return]

    @property
    def timestamp(self) -> Timestamp:
        return self.metadata["timestamp"].signed  # type: ignore[no-any-return]

    @property
    def snapshot(self) -> Snapshot:
        return self.metadata["snapshot"].signed  # type: ignore[no-any-return]

    def targets(self, name: str = "targets") -> Targets:
        return self.metadata[name].signed  # type: ignore[no-any-return]

    def add_key(self, role: str, signer: CryptoSigner | None = None, delegator: str = "root") -> CryptoSigner:
        signer = signer or self.mac()
        self.metadata[delegator].signed.add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role: str) -> None:
        """A new key instead of all old ones; the root is not published yet."""
        for old in self.signers.get(role, []):
            self.root.revoke_key(old.public_key.keyid, role)
        self.signers[role] = []
        self.add_key(role)

    def sign(self, role: str, signers: list[CryptoSigner] | None = None) -> bytes:
        made = self.metadata[role]
        made.signatures.clear()
        for signer in self.signers[role] if signers is None else signers:
            made.sign(signer, append=True)
        return made.to_bytes()

    def publish(self, *roles: str, signers: list[CryptoSigner] | None = None) -> None:
        """Signs and serves roles as they are now. Root and, with consistent snapshots, all but timestamp carry their version."""
        for role in roles:
            octets = self.sign(role, signers)
            version = self.metadata[role].signed.version
            plain = role == "timestamp" or (role != "root" and not self.root.consistent_snapshot)
            name = quote(role, safe="")
            self.files[f"metadata/{name}.json" if plain else f"metadata/{version}.{name}.json"] = octets

    def release(self, *roles: str) -> None:
        """Roles with new versions, and snapshot and timestamp that name them."""
        for role in roles:
            if f"{role}.json" in self.snapshot.meta:
                self.metadata[role].signed.version += 1
            self.publish(role)
            self.snapshot.meta[f"{role}.json"] = MetaFile(self.metadata[role].signed.version)
        self.snapshot.version += 1
        self.publish("snapshot")
        self.stamp()

    def stamp(self) -> None:
        self.timestamp.version += 1
        self.timestamp.snapshot_meta = MetaFile(self.snapshot.version)
        self.publish("timestamp")

    def new_root(self, signers: list[CryptoSigner] | None = None) -> None:
        self.root.version += 1
        self.publish("root", signers=signers)

    def add_target(self, path: str, content: bytes, role: str = "targets") -> None:
        target = TargetFile.from_data(path, content, ["sha256"])
        self.targets(role).targets[path] = target
        folder, _, name = path.rpartition("/")
        prefixed = f"{sha256(content).hexdigest()}.{name}"
        self.content[path] = content
        served = f"{folder}/{prefixed}".lstrip("/") if self.root.consistent_snapshot else path
        self.files[f"targets/{served}"] = content

    def delegate(
        self,
        name: str,
        paths: list[str] | None = None,
        *,
        by: str = "targets",
        terminating: bool = False,
        hash_prefixes: list[str] | None = None,
        threshold: int = 1,
    ) -> Targets:
        delegator = self.targets(by)
        role = DelegatedRole(name, [], threshold, terminating, paths, hash_prefixes)
        if delegator.delegations is None:
            delegator.delegations = Delegations({}, roles={})
        assert delegator.delegations.roles is not None
        delegator.delegations.roles[name] = role
        made = Targets(expires=datetime.now(UTC).replace(microsecond=0) + 30 * DAY)
        self.metadata.setdefault(name, Metadata(made))
        self.add_key(name, delegator=by)
        return self.targets(name)

    def delegate_bins(self, bits: int, prefix: str) -> list[str]:
        """Succinct hash bins (TAP 15) under targets, all with one key."""
        signer = self.mac()
        succinct = SuccinctRoles([], 1, bits, prefix)
        self.targets().delegations = Delegations({}, succinct_roles=succinct)
        self.targets().add_key(signer.public_key)
        names = list(succinct.get_roles())
        for name in names:
            made = Targets(expires=datetime.now(UTC).replace(microsecond=0) + 30 * DAY)
            self.metadata[name] = Metadata(made)
            self.signers[name] = [signer]
        return names


@contextmanager
def serving(repository: Repository) -> Iterator[Repository]:
    """Over HTTP on loopback until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            raw = self.path.lstrip("/")
            repository.asked.append(raw)
            content = repository.files.get(raw, repository.files.get(unquote(raw)))
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            pause = repository.slowly.get(raw)
            if content is not None and pause:
                for octet in content:
                    try:
                        self.wfile.write(bytes([octet]))
                        self.wfile.flush()
                    except OSError:
                        return
                    time.sleep(pause)
            elif content is not None:
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that gives up is no error here."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    repository.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield repository
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Device:
    """Whoever runs the command, with its folders."""

    repository: Repository
    folder: Path
    words: str = ""

    def __post_init__(self) -> None:
        (self.folder / "metadata").mkdir(parents=True)
        root = self.folder / "shipped.json"
        root.write_bytes(self.repository.files["metadata/1.root.json"])
        assert self._run("init", str(root)) == 0, self.words

    def refresh(self) -> bool:
        return self._run("--metadata-url", f"{self.repository.url}/metadata", "refresh") == 0

    def download(self, name: str) -> bytes | None:
        ended = self._run(
            *(
                "--metadata-url",
                f"{self.repository.url}/metadata",
                "--target-base-url",
                f"{self.repository.url}/targets",
            ),
            *("--target-name", name, "--target-dir", str(self.folder / "targets"), "download"),
        )
        if ended:
            return None
        return (self.folder / "targets" / quote(name, safe="")).read_bytes()

    def version(self, role: str) -> int | None:
        """The version of a role that the device trusts."""
        path = self.folder / "metadata" / f"{quote(role, safe='')}.json"
        return int(json.loads(path.read_bytes())["signed"]["version"]) if path.exists() else None

    def versions(self) -> tuple[int | None, ...]:
        return tuple(self.version(role) for role in TOP)

    def _run(self, *arguments: str) -> int:
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = main(["--metadata-dir", str(self.folder / "metadata"), *arguments])
        self.words = said.getvalue()
        return status
