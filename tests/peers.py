"""Real peers and real data: found, or skipped with a reason. With CI=true a missing peer fails."""

import os
import shutil
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
_EXTRA_PATH = "/usr/sbin:/sbin:/usr/local/sbin"


def require(program: str) -> str:
    """The path of a program that the test talks to; skips the test, or fails it with CI=true, where there is none."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_EXTRA_PATH}")
    if found is None:
        sentence = f"{program} is not installed; `make peers` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found


def require_root(why: str) -> None:
    """Skips where the test is not run by root."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {why}")


def shared_data(*parts: str) -> Path:
    """A file or folder of the shared data beside the project; skips where it is not (a user's clone has none)."""
    path = SHARED.joinpath(*parts).resolve()
    if not path.exists():
        pytest.skip(f"the shared data has no {'/'.join(parts)}")
    return path
