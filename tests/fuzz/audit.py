"""What an auditor is handed may be forged: bundles, records, notes, keys."""

from bastide.governance.audit.bundle import check_bundle
from bastide.governance.audit.record import read_record
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.note import VerifierKey
from tests.domain.governance.audit.test_bundle import KEY, SMALL, WHOLE
from tests.fuzz import Target


def _bundle(data: bytes) -> object:
    verdict = check_bundle(data.splitlines(keepends=True), KEY)
    if verdict.good and data != WHOLE:
        raise AssertionError("a changed bundle passed the check")
    return verdict


TARGETS = [
    Target("audit-bundle", _bundle, (WHOLE,)),
    Target("audit-record", read_record, tuple(SMALL.texts[:2])),
    Target(
        "audit-checkpoint",
        lambda data: open_checkpoint(data.decode("utf-8", "replace"), KEY),
        (SMALL.checkpoint.note.encode(),),
    ),
    Target("audit-vkey", lambda data: VerifierKey.parse(data.decode("utf-8", "replace")), (str(KEY).encode(),)),
]
