"""The ledger held against the signer's journal: two books by two processes, which must tell one story.

- Every certificate and revocation list that the signer signed was intended in the ledger before (``signing:<profile>:intended``
  with the same request). A signature that nobody intended is the worst that an audit can find.
- Every ``signing:<profile>:issued`` has its signature in the journal, with the same serial number or digest.
- Every tree head that was signed is a beginning of this ledger (:mod:`bastide.governance.audit.tables` checks the roots).
- Exceptions, by name: broker logins (``broker-user``) live for a connection, are many and stand in the journal alone. An
  intent without a signature is a request that a crash cut off, and is told as a notice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.governance.audit.record import Stored
from bastide.governance.audit.verdict import Verdict
from bastide.wire.journal import Entry

_JOURNAL_ONLY = frozenset(("broker-user", "unseal", "plan", "tuf-online"))


@dataclass(slots=True)
class Journal:
    """What an audit needs of the journal. Each profile's count, the tree heads by size, and the signatures by request."""

    signed: dict[str, tuple[int, str, Mapping[str, Any]]] = field(default_factory=dict)
    heads: dict[int, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    conflicting: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Journal":
        journal = cls()
        for entry in entries:
            if entry.kind != "signed":
                continue
            journal.counts[entry.profile] = journal.counts.get(entry.profile, 0) + 1
            if entry.profile == "checkpoint":
                journal._head(entry.what)
            elif entry.profile not in _JOURNAL_ONLY:
                journal.signed[entry.request] = (entry.n, entry.profile, entry.what)
        return journal

    def _head(self, what: Mapping[str, Any]) -> None:
        size, root = what.get("size"), what.get("root")
        if (
            isinstance(size, int)
            and isinstance(root, str)
            and self.heads.setdefault(size, bytes.fromhex(root)).hex() != root
        ):
            self.conflicting.append(size)


def reconcile(verdict: Verdict, records: Sequence[tuple[int, Stored]], before: Journal, after: Journal) -> None:
    """Adds to the verdict what ledger and journal do not agree on.

    ``before`` was read before the ledger and ``after`` after it, so that what is signed meanwhile is not taken for a fault.
    """
    intended: dict[str, tuple[int, Stored]] = {}
    ended: set[str] = set()
    for position, stored in records:
        request, step = stored.body.get("request"), stored.kind.split(":")[2:]
        if not isinstance(request, str):
            continue
        if step == ["intended"]:
            intended[request] = (position, stored)
        elif step in (["issued"], ["refused"]):
            ended.add(request)
            if request not in intended:
                verdict.found(
                    "ledger_records", f"{stored.kind} of {request} has no intent before it.", position, stored.id
                )
            if step == ["issued"]:
                _signed(verdict, position, stored, after.signed.get(request))
    for request, (line, profile, _) in before.signed.items():
        match = intended.get(request)
        if match is None or match[1].kind != f"signing:{profile}:intended":
            verdict.found(
                "journal",
                f"Line {line} of the signer's journal signs {profile} {request}, which the ledger never intended: "
                "find out who asked for it, and revoke it.",
            )
    for size in before.conflicting:
        verdict.found("journal", f"The signer's journal has two tree heads of size {size}.", size - 1)
    _notices(verdict, intended, ended, before)


def _signed(verdict: Verdict, position: int, stored: Stored, entry: tuple[int, str, Mapping[str, Any]] | None) -> None:
    request = stored.body["request"]
    if entry is None:
        sentence = f"{stored.kind} of {request} is not in the signer's journal: it was not signed by this signer."
        verdict.found("journal", sentence, position, stored.id)
        return
    line, _, what = entry
    for name in ("serial", "sha256"):
        if name in what and name in stored.body and str(what[name]) != str(stored.body[name]):
            sentence = f"The {name} of {request} is not the one in line {line} of the signer's journal."
            verdict.found("journal", sentence, position, stored.id)


def _notices(verdict: Verdict, intended: Mapping[str, object], ended: set[str], journal: Journal) -> None:
    unsigned = [request for request in intended if request not in ended and request not in journal.signed]
    unrecorded = [request for request in intended if request not in ended and request in journal.signed]
    if unsigned:
        verdict.notices.append(
            f"{len(unsigned)} intended signatures were not made (yet), the last of them {unsigned[-1]}."
        )
    if unrecorded:
        verdict.notices.append(f"{len(unrecorded)} signatures have no result in the ledger (yet): {unrecorded[-1]}.")
    alone = {profile: count for profile, count in journal.counts.items() if profile in _JOURNAL_ONLY}
    for profile, count in sorted(alone.items()):
        verdict.notices.append(f"{count} signatures of {profile} stand in the signer's journal alone, as they should.")
