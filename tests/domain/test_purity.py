"""The guard of this folder guards: a rule that touches the world fails, a test that reads its data does not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.domain.conftest import Impure


def in_module(module: str, source: str) -> Callable[[], Any]:
    """A function that looks as if it stood in a module."""
    namespace: dict[str, Any] = {"__name__": module}
    exec(source, namespace)
    found: Callable[[], Any] = namespace["rule"]
    return found


@pytest.mark.parametrize(
    "body",
    [
        "open('/etc/hostname').read()",
        "__import__('pathlib').Path('/etc/hostname').read_text()",
        "__import__('socket').socket()",
        "__import__('subprocess').run(['true'])",
        "__import__('os').system('true')",
    ],
)
def test_a_rule_that_touches_the_world_fails(body: str) -> None:
    rule = in_module("bastide.governance.impostor", f"def rule():\n    return {body}\n")
    with pytest.raises(Impure, match=r"bastide\.governance\.impostor\.rule"):
        rule()


def test_a_test_may_read_its_own_data() -> None:
    assert Path(__file__).read_text().startswith('"""The guard')


def test_an_adapter_is_not_a_rule() -> None:
    source = "def rule():\n    with open('/etc/hostname') as file:\n        return file.read()\n"
    assert in_module("bastide.adapters.files", source)() != ""
