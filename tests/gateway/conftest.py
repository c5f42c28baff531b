"""Root and network namespaces, or a reason why not."""

import os
import shutil

import pytest


@pytest.fixture(autouse=True)
def _root() -> None:
    missing = os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None
    if missing and os.environ.get("CI") == "true":
        pytest.fail("a gateway's tests need root, ip and nft")
    if missing:
        pytest.skip("needs root, ip and nft")
