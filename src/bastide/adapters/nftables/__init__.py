"""The kernel's nftables through ``nft``."""

import json
from collections.abc import Callable
from typing import Any

Run = Callable[[list[str], str], str]
"""Runs a program with a text on its standard input where the rules belong, and returns what it prints."""


class NFT:
    """nftables of one network namespace: whichever ``run`` starts programs in."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def load(self, ruleset: str) -> None:
        """Loads a whole ruleset in one transaction."""
        self._run(["nft", "-f", "-"], ruleset)

    def check(self, ruleset: str) -> None:
        """Has the kernel check a ruleset without loading it."""
        self._run(["nft", "-c", "-f", "-"], ruleset)

    def dropped(self, table: str) -> int:
        """How many packets the table's rules dropped or rejected."""
        found: dict[str, Any] = json.loads(self._run(["nft", "-j", "list", "table", "inet", table], ""))
        total = 0
        for one in found["nftables"]:
            expressions = one.get("rule", {}).get("expr", [])
            if any("drop" in expression or "reject" in expression for expression in expressions):
                total += sum(expression["counter"]["packets"] for expression in expressions if "counter" in expression)
        return total
