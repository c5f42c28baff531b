"""What the documentation points at is there."""

import re
from pathlib import Path

import pytest

from bastide.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"(?:^|`|\bbin/)bastide ([a-z][a-z-]+)", re.MULTILINE)
SOURCE = re.compile(
    r"`((?:core|wire|device|network|operations|governance|ports|flows|adapters|controller|signer|cli|demo)/[\w/.]+\.py)`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_command_and_source_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    links = [link for link in LINK.findall(text) if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in links if not (page.parent / link).exists()] == []
    known = {command.name for command in COMMANDS}
    assert sorted({name for name in COMMAND.findall(text) if name not in known}) == []
    assert [path for path in SOURCE.findall(text) if not (ROOT / "src/bastide" / path).exists()] == []
