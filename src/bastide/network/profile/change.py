"""What a new version of a profile permits more, and what it takes away: a reader compares sentences and not files."""

from dataclasses import dataclass

from bastide.network.profile.mud.words import MUDFile
from bastide.network.profile.plain import Sentence, sentences


@dataclass(frozen=True, slots=True)
class Change:
    """``facts`` are members of the file itself that differ, as (name, before, after)."""

    more: tuple[Sentence, ...]
    less: tuple[Sentence, ...]
    facts: tuple[tuple[str, str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.more or self.less or self.facts)


_FACTS = {
    "mud-url": "url",
    "is-supported": "is_supported",
    "systeminfo": "systeminfo",
    "mfg-name": "manufacturer",
    "model-name": "model",
    "firmware-rev": "firmware_revision",
    "software-rev": "software_revision",
    "cache-validity": "cache_validity",
}


def change(before: MUDFile, after: MUDFile) -> Change:
    """What a reader should know before ``after`` takes the place of ``before``. Names and order of entries do not count."""
    old, new = _said(before), _said(after)
    return Change(
        tuple(one for key, one in new.items() if key not in old),
        tuple(one for key, one in old.items() if key not in new),
        tuple(
            (name, str(getattr(before, member)), str(getattr(after, member)))
            for name, member in _FACTS.items()
            if getattr(before, member) != getattr(after, member)
        ),
    )


def _said(file: MUDFile) -> dict[str, Sentence]:
    return {str(one): one for one in sentences(file)}
