"""An image is sent whole, or the range that was asked for, whether memory holds it or not."""

import hashlib
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.controller.endpoints import images
from bastide.controller.endpoints.images import Image, wanted

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image.bin"
    path.write_bytes(CONTENT)
    return path


async def sent(image: Image) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body."""
    told: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {}

    await image({"type": "http"}, receive, send)
    assert [bool(one.get("more_body")) for one in told[1:]] == [True] * (len(told) - 2) + [False]
    return told[0]["status"], dict(told[0]["headers"]), b"".join(bytes(one["body"]) for one in told[1:])


@pytest.mark.parametrize("cached", [True, False])
async def test_a_whole_image_comes_in_pieces(file: Path, cached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not cached:
        monkeypatch.setattr(images, "_in_memory", lambda *_: None)
    status, headers, body = await sent(Image(file, DIGEST))
    assert (status, body, headers[b"etag"]) == (200, CONTENT, f'"{DIGEST}"'.encode())
    assert b"content-range" not in headers


@pytest.mark.parametrize(
    ("asked", "begins", "ends"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-", 1000, 512_000),
        ("bytes=-5", 511_995, 512_000),
        ("bytes=511999-999999", 511_999, 512_000),
    ],
)
async def test_one_range_is_sent(file: Path, asked: str, begins: int, ends: int) -> None:
    status, headers, body = await sent(Image(file, DIGEST, asked))
    assert (status, body) == (206, CONTENT[begins:ends])
    assert headers[b"content-range"] == f"bytes {begins}-{ends - 1}/512000".encode()


async def test_a_range_of_another_image_is_not_mixed_in(file: Path) -> None:
    assert (await sent(Image(file, DIGEST, "bytes=5-", '"another"')))[0] == 200
    assert (await sent(Image(file, DIGEST, "bytes=5-", f'"{DIGEST}"')))[0] == 206


async def test_what_is_not_there_is_said(file: Path) -> None:
    assert (await sent(Image(file, DIGEST, "bytes=512000-")))[0] == 416
    assert (await sent(Image(file, DIGEST, "bytes=7-3")))[0] == 416
    assert (await sent(Image(file.with_name("none"), DIGEST)))[0] == 404
    file.with_name("link").symlink_to(file)
    assert (await sent(Image(file.with_name("link"), DIGEST)))[0] == 404


@given(st.text(max_size=40) | st.from_regex(r"bytes=\d{0,4}-\d{0,4}", fullmatch=True), st.integers(1, 5000))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    found = wanted(header, size)
    assert found is None or 0 <= found[0] < found[1] <= size
