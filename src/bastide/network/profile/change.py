"""What a new version of a profile permits more, and what it takes away: a reader compares sentences and not files."""

from dataclasses import dataclass

from bastide.network.profile.mud.words import MUDFile
from bastide.network.profile.plain import Sentence, channel_sentences, sentences


@dataclass(frozen=True, slots=True)
class Change:
    """``facts`` are members of the file itself that differ, as (name, before, after). What devices say at the broker
    (``application``) is told as sentences too."""

    more: tuple[Sentence, ...]
    less: tuple[Sentence, ...]
    facts: tuple[tuple[str, str, str], ...]
    more_said: tuple[str, ...] = ()
    less_said: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.more or self.less or self.facts or self.more_said or self.less_said)

    @property
    def all_more(self) -> tuple[str, ...]:
        return (*map(str, self.more), *self.more_said)

    @property
    def all_less(self) -> tuple[str, ...]:
        return (*map(str, self.less), *self.less_said)


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
    heard, told = channel_sentences(before), channel_sentences(after)
    return Change(
        tuple(one for key, one in new.items() if key not in old),
        tuple(one for key, one in old.items() if key not in new),
        tuple(
            (name, str(getattr(before, member)), str(getattr(after, member)))
            for name, member in _FACTS.items()
            if getattr(before, member) != getattr(after, member)
        ),
        tuple(one for one in told if one not in heard),
        tuple(one for one in heard if one not in told),
    )


def _said(file: MUDFile) -> dict[str, Sentence]:
    return {str(one): one for one in sentences(file)}
