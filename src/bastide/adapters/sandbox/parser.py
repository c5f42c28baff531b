"""The parent's side: starts the parser, hands it open files and a short order, and reads plain values back.

The child gets no environment but what it needs to run, and no descriptor but the captures and three pipes. What it writes is
JSON lines, bounded; it is ended when it says nothing for too long.
"""

import contextlib
import hashlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bastide.core.error import BastideError, Unavailable, Unreadable

MODULE = "bastide.controller.workers.parser"
MEMORY_BYTES = 3 * 1024**3
SILENCE_SECONDS = 180.0
"""The first run compiles the kernel, which says nothing for some 15 s on a small machine."""

STOP_SECONDS = 0.5
"""How soon a listener notices that it shall stop."""

MAX_ANSWER_BYTES = 256 * 1024 * 1024

_KERNEL = Path(__file__).resolve().parents[2] / "network" / "traffic"


class ParserFailed(BastideError):
    """The parser ended without an answer."""

    code = "traffic:parser:failed"


def cache_folder() -> Path:
    """Where compiled kernels are kept: by a digest of their sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256(f"{version('numba')} {version('numpy')} {sys.version}".encode())
    for source in sorted((*_KERNEL.glob("kernel/*.py"), _KERNEL / "words.py")):
        digest.update(source.read_bytes())
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")  # noqa: TID251 - where caches live
    return root / "bastide" / "kernel" / digest.hexdigest()[:16]


@contextlib.contextmanager
def _compiled_kernel() -> Iterator[Path]:
    """The cache folder, made where it is missing; a temporary one where it cannot be."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except OSError:
        with tempfile.TemporaryDirectory(prefix="bastide-kernel-") as temporary:
            yield Path(temporary)
        return
    yield folder


def parse(
    captures: Sequence[tuple[str, int]],
    order: Mapping[str, Any],
    on_line: Callable[[dict[str, Any]], None] | None = None,
    fingerprints: int | None = None,
    more: Sequence[int] = (),
) -> dict[str, Any]:
    """The parser's answer on captures (name, open descriptor), compared with a fingerprint base behind a descriptor where
    one is given; ``more`` are descriptors that the order names. ``on_line`` is handed its progress lines.

    ``Unreadable`` with the parser's sentence where a file is no capture; ``ParserFailed`` where the parser did not come to
    an answer.
    """
    wanted = {
        "captures": [{"name": name, "descriptor": descriptor} for name, descriptor in captures],
        "memory_bytes": MEMORY_BYTES,
        "fingerprints": fingerprints,
        **order,
    }
    descriptors = [descriptor for _, descriptor in captures] + ([] if fingerprints is None else [fingerprints])
    with _parser([*descriptors, *more], on_line) as parser:
        for answer in parser.lines(wanted, SILENCE_SECONDS):
            if "report" in answer:
                return dict(answer["report"])
            if on_line is not None:
                on_line(answer)
        raise parser.ended()


def follow(
    ring: Mapping[str, int],
    every_seconds: float,
    fingerprints: int | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Generator[dict[str, Any], None, None]:
    """The lines of a parser that listens: ``stage`` when it is ready, then a ``window`` after each span of time.

    ``ring`` names the socket's descriptor and its geometry. It ends when ``stopped`` says so;
    ``ParserFailed`` where the parser ended by itself.
    """
    wanted = {
        "captures": [], "memory_bytes": MEMORY_BYTES, "fingerprints": fingerprints, "live": dict(ring), "every": every_seconds,
    }  # fmt: skip
    descriptors = [ring["descriptor"]] + ([] if fingerprints is None else [fingerprints])
    first: list[dict[str, Any]] = []
    with _parser(descriptors, first.append) as parser:
        yield from first
        yield from parser.lines(wanted, SILENCE_SECONDS + every_seconds, stopped)
        if not stopped():
            raise parser.ended()


@contextlib.contextmanager
def _parser(descriptors: Sequence[int], on_line: Callable[[dict[str, Any]], None] | None) -> Iterator["Child"]:
    """A parser of captures that holds these descriptors and nothing else, ended with the block."""
    with _compiled_kernel() as folder:
        if on_line is not None and not any(folder.iterdir()):
            on_line({"stage": "compile"})
        environment = {
            "NUMBA_CACHE_DIR": str(folder),
            # One thread: the child drops the right to make others.
            "OPENBLAS_NUM_THREADS": "1",
            "NUMBA_NUM_THREADS": "1",
        }
        with child(MODULE, descriptors, environment) as started:
            yield started


@contextlib.contextmanager
def child(module: str, descriptors: Sequence[int], environment: Mapping[str, str]) -> Iterator["Child"]:
    """A process of a module that locks itself down; it holds these descriptors and nothing else, and ends with the block."""
    started = subprocess.Popen(
        [sys.executable, "-I", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=list(descriptors),
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", **environment},
        cwd="/",
    )
    try:
        yield Child(started)
    finally:
        if started.poll() is None:
            started.kill()
        started.wait()
        for stream in (started.stdin, started.stdout, started.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class Child:
    """The conversation with one parser process."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = child
        self._last_words = b""

    def lines(
        self, order: Mapping[str, Any], silence_seconds: float, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[dict[str, Any]]:
        """What it says after the order, line by line, until it ends or ``stopped``. ``ParserFailed`` where it is silent for
        too long."""
        child = self._child
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None  # noqa: PT018 - pipes were asked for
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.close()
        pending = bytearray()
        deadline = time.monotonic() + silence_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ, "answer")
            selector.register(child.stderr, selectors.EVENT_READ, "words")
            while selector.get_map():
                ready = selector.select(min(STOP_SECONDS, max(0.0, deadline - time.monotonic())))
                if stopped():
                    return
                if not ready:
                    if time.monotonic() < deadline:
                        continue
                    raise ParserFailed(
                        f"The parser said nothing for {silence_seconds:.0f} s and was ended; give it less at once."
                    )
                deadline = time.monotonic() + silence_seconds
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 20)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data == "words":
                        self._last_words = (self._last_words + data)[-4096:]
                    else:
                        pending += data
                        if len(pending) > MAX_ANSWER_BYTES:
                            raise ParserFailed("The parser's answer is longer than 256 MiB; give it less at once.")
                        if b"\n" in data:
                            *lines, rest = bytes(pending).split(b"\n")
                            pending = bytearray(rest)
                            yield from map(_line, lines)

    def ended(self) -> ParserFailed:
        """Why there is no answer, for whoever waits for one."""
        status = self._child.wait()
        words = self._last_words.decode("utf-8", "replace").strip().splitlines()
        return ParserFailed(
            f"The parser ended with status {status} before it answered ({words[-1] if words else 'no reason given'}); "
            "try the files one by one to find the one that does it, and report it."
        )


def _line(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise ParserFailed("The parser wrote something that is not JSON; report it with the file.") from error
    if not isinstance(answer, dict):
        raise ParserFailed("The parser wrote something that is not an object; report it with the file.")
    if "refused" in answer:
        raise Unreadable(str(answer["refused"]), code=str(answer.get("code", Unreadable.code)))
    if "failed" in answer:
        raise Unavailable(str(answer["failed"]))
    return answer
