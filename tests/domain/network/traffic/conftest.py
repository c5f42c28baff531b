"""The first test that runs the kernel waits for it to be compiled: a minute on a busy machine."""

from pathlib import Path

import pytest

COMPILING_S = 400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(COMPILING_S))
