"""Members of a YANG-JSON object (RFC 7951): names with or without their module, each taken once, the rest named.

RFC 7951 wants the module's name only where it changes; files in the wild put it everywhere or nowhere. Both are taken,
but never the same leaf twice under two names.
"""

from typing import Any

from bastide.network.profile.mud.words import MUDRefused, Note

MODULES = frozenset(
    {
        "ietf-mud", "ietf-access-control-list", "ietf-acldns", "ietf-acl-tls", "ietf-mud-tls", "ietf-packet-fields",
        "ietf-ethertypes",
    }
)  # fmt: skip
_MAX_TEXT = 1024


class Notes:
    """Collects notes; equal codes are one note with a count."""

    def __init__(self) -> None:
        self._found: dict[str, Note] = {}

    def add(self, code: str, sentence: str) -> None:
        known = self._found.get(code)
        self._found[code] = Note(code, known.sentence, known.count + 1) if known else Note(code, sentence)

    def all(self) -> tuple[Note, ...]:
        return tuple(self._found[code] for code in sorted(self._found))


class Members:
    """One object being read. What ``take`` never asked for is what ``left`` names."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise MUDRefused(f"{where} is not an object.", code="mud:form:not-an-object")
        self.where = where
        self._found: dict[str, tuple[str, Any]] = {}
        for full, inner in value.items():
            module, colon, name = full.rpartition(":")
            known = name if not colon or module in MODULES else full
            if known in self._found:
                raise MUDRefused(f"{where} names {known[:80]!r} twice, as two modules.", code="mud:json:duplicate-name")
            self._found[known] = (full, inner)

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def take(self, name: str) -> Any:
        """The value, or None where it is not there."""
        found = self._found.pop(name, None)
        return None if found is None else found[1]

    def full_name(self, name: str) -> str:
        return self._found[name][0] if name in self._found else ""

    def left(self) -> tuple[str, ...]:
        return tuple(full for full, _ in self._found.values())

    def text(self, name: str, *, limit: int = _MAX_TEXT) -> str:
        """Printable text, or empty where there is none."""
        if name not in self:
            return ""
        value = self.take(name)
        if not isinstance(value, str):
            raise MUDRefused(f"{name} in {self.where} is not text.", code="mud:form:not-text")
        if len(value) > limit:
            raise MUDRefused(
                f"{name} in {self.where} has {len(value)} characters; at most {limit} are taken.",
                code="mud:form:text-too-long",
            )
        if not value.isprintable():
            raise MUDRefused(
                f"{name} in {self.where} holds characters that cannot be printed.", code="mud:form:unprintable"
            )
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds, or None where there is none."""
        if name not in self:
            return None
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise MUDRefused(
                f"{name} in {self.where} is {str(value)[:40]!r}; it must be a whole number from {low} to {high}.",
                code="mud:form:number",
            )
        return value

    def truth(self, name: str) -> bool | None:
        if name not in self:
            return None
        value = self.take(name)
        if not isinstance(value, bool):
            raise MUDRefused(f"{name} in {self.where} is neither true nor false.", code="mud:form:boolean")
        return value

    def items(self, name: str, limit: int) -> list[Any]:
        """A list of at most ``limit``, empty where there is none."""
        value = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise MUDRefused(f"{name} in {self.where} is not a list.", code="mud:form:not-a-list")
        if len(value) > limit:
            raise MUDRefused(
                f"{name} in {self.where} has {len(value)} items; at most {limit} are taken.", code="mud:form:too-many"
            )
        return value

    def empty(self, name: str, notes: Notes) -> bool:
        """A leaf of YANG's type ``empty``: ``[null]``. Other spellings are noted."""
        if name not in self:
            return False
        value = self.take(name)
        if value == [None]:
            return True
        if value is None or value is True or value in ("", []) or value == {}:
            notes.add("mud:dialect:empty-leaf", f"{name} should be written [null] (RFC 7951, section 6.9).")
            return True
        raise MUDRefused(f"{name} in {self.where} has a value; it must be [null].", code="mud:form:not-empty")
