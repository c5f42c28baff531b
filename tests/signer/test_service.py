"""Requests answered in order, once, and remembered across files and starts."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.merkle import leaf_hash, node_hash
from bastide.device.identity.ceremony import next_issuing
from bastide.device.identity.certificate import Issuer
from bastide.device.identity.hierarchy import key_id
from bastide.ports.keys import KeysUnusable
from bastide.signer.authority import Authorities, establish, established, with_later
from bastide.signer.journal import Journal
from bastide.signer.keyfile import KeyFile
from bastide.signer.memory import Remembrance
from bastide.signer.profiles import Limits
from bastide.signer.service import Service
from bastide.testing import FakeClock
from bastide.wire.signing import (
    CRL,
    Answer,
    Authority,
    Body,
    Checkpoint,
    LastCheckpoint,
    NextIssuing,
    Outcome,
    PlanToSign,
    decode_answer,
    decode_head,
    encode_request,
)

DEVICE = "d-" + "a" * 20
LEAVES = [leaf_hash(b"%d" % number) for number in range(2)]
ROOT = node_hash(*LEAVES)


class Running:
    def __init__(self, service: Service, authorities: Authorities) -> None:
        self._service = service
        self.name = authorities.note_key.name
        self.issuer = key_id(authorities.hierarchy.issuing[0])

    async def ask(self, request: str, body: Body) -> Answer:
        return decode_answer(await self._service.answer(encode_request(3, request, body)))

    async def plan(self, number: int, generation: int = 1) -> Answer:
        plan = json.dumps({"device": DEVICE, "generation": generation}).encode()
        return await self.ask(f"plan:{number:06}", PlanToSign(plan))


@asynccontextmanager
async def running(folder: Path, segment_bytes: int = 1 << 20, window: int = 1000) -> AsyncIterator[Running]:
    clock = FakeClock()
    store = KeyFile(folder / "keys.enc", None)
    authorities = establish(store, folder, clock.now() - timedelta(days=1), bytes(range(48)))
    memory = Remembrance(window)
    journal = Journal(folder, clock, memory, segment_bytes)
    journal.open(authorities.described())
    established(folder)
    authorities = with_later(authorities, memory.past.ceremonies)
    yield Running(Service(store, authorities, journal, memory, Limits(), clock), authorities)
    await journal.close()


def head(name: str, size: int, root: bytes, *proof: bytes) -> Checkpoint:
    return Checkpoint(name, size, root, list(proof))


async def test_of_two_histories_asked_for_at_once_one_is_signed(tmp_path: Path) -> None:
    async with running(tmp_path) as signer:
        asked = [head(signer.name, 1, leaf_hash(b"story %d" % number)) for number in range(20)]
        answers = await asyncio.gather(*(signer.ask(f"head:{n:06}", one) for n, one in enumerate(asked)))
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count(Outcome.DONE) == 1
    assert {answer.code for answer in answers} == {"", "signer:checkpoint:not-an-extension"}


async def test_the_same_request_twenty_times_at_once_is_one_line(tmp_path: Path) -> None:
    async with running(tmp_path) as signer:
        answers = await asyncio.gather(*(signer.plan(1) for _ in range(20)))
        assert len({answer.body for answer in answers}) == 1
        assert (await signer.plan(1, generation=2)).code == "signer:request:reused"
    assert (tmp_path / "journal.log").read_bytes().count(b"\n") == 2


async def test_what_must_not_be_forgotten_outlives_every_file(tmp_path: Path) -> None:
    now = int(FakeClock().now().timestamp())
    async with running(tmp_path, segment_bytes=2000) as signer:
        name = signer.name
        assert (await signer.ask("head:000001", head(name, 2, ROOT))).outcome is Outcome.DONE
        assert (await signer.ask("crl:0000001", CRL([], now, signer.issuer))).outcome is Outcome.DONE
        for number in range(60):
            assert (await signer.plan(number)).outcome is Outcome.DONE
    assert len(list(tmp_path.glob("journal.*.log"))) > 3  # noqa: ASYNC240
    async with running(tmp_path, segment_bytes=2000) as signer:
        last = decode_head((await signer.ask("question1", LastCheckpoint())).body)
        assert (last.size, last.root) == (2, ROOT)
        fork = await signer.ask("head:000002", head(name, 2, LEAVES[0]))
        assert fork.code == "signer:checkpoint:not-an-extension"
        await signer.ask("crl:0000002", CRL([], now, signer.issuer))
    lines = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("journal*.log")))  # noqa: ASYNC240
    numbers = [json.loads(line[65:])["what"]["number"] for line in lines.splitlines() if b'"profile":"crl"' in line]
    assert sorted(numbers) == [1, 2]


async def test_a_storm_pushes_out_old_requests_of_its_own_kind_only(tmp_path: Path) -> None:
    async with running(tmp_path, window=10) as signer:
        first = await signer.plan(0)
        for number in range(1, 11):
            await signer.plan(number)
        assert (await signer.plan(0)).body == first.body  # Ed25519: signed again, and the same
        assert (await signer.plan(10, generation=2)).code == "signer:request:reused"


async def test_a_refused_request_leaves_no_line_and_its_id_free(tmp_path: Path) -> None:
    async with running(tmp_path) as signer:
        refused = await signer.ask("plan:000001", PlanToSign(b"{}"))
        assert (refused.outcome, refused.code) == (Outcome.REFUSED, "signer:plan:unreadable")
        assert (await signer.plan(1)).outcome is Outcome.DONE


async def test_certificates_of_other_keys_are_not_taken_for_the_authorities(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        async with running(folder):
            pass
    (one / "issuing.pem").write_bytes((other / "issuing.pem").read_bytes())
    with pytest.raises(Exception, match="not those of the authority keys"):
        async with running(one):
            pass


async def test_an_installed_ca_outlives_every_file_and_belongs_to_its_keys(tmp_path: Path) -> None:
    store = KeyFile(tmp_path / "keys.enc", None)
    async with running(tmp_path, segment_bytes=2000) as signer:
        csr = (await signer.ask("next:0000001", NextIssuing())).body
        before = (tmp_path / "keys.enc").read_bytes()
        key = store.open().root
        assert key is not None
        root = Issuer(x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes()), key)
        made = next_issuing(csr, root, FakeClock().now(), bytes(range(96))).public_bytes(Encoding.DER)
        assert (await signer.ask("authority:1", Authority([made]))).outcome is Outcome.DONE
        for number in range(60):
            assert (await signer.plan(number)).outcome is Outcome.DONE
    for round in range(2):
        async with running(tmp_path, segment_bytes=2000) as signer:
            identifier = key_id(x509.load_der_x509_certificate(made))
            now = int(FakeClock().now().timestamp())
            asked = CRL([], now, identifier)
            assert (await signer.ask(f"crl:000000{round}", asked)).outcome is Outcome.DONE
            # The next key is another one, and waits beside the two that have their certificates.
            assert (await signer.ask("next:0000002", NextIssuing())).body != csr
    assert len(store.open().issuing) == 3
    (tmp_path / "keys.enc").write_bytes(b"".join([before[:10], b"x", before[11:]]))
    with pytest.raises(KeysUnusable):
        store.open()


async def test_keys_that_are_older_than_the_ceremony_are_refused(tmp_path: Path) -> None:
    store = KeyFile(tmp_path / "keys.enc", None)
    async with running(tmp_path) as signer:
        older = (tmp_path / "keys.enc").read_bytes()
        csr = (await signer.ask("next:0000001", NextIssuing())).body
        key = store.open().root
        assert key is not None
        root = Issuer(x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes()), key)
        made = next_issuing(csr, root, FakeClock().now(), bytes(range(96))).public_bytes(Encoding.DER)
        assert (await signer.ask("authority:1", Authority([made]))).outcome is Outcome.DONE
    (tmp_path / "keys.enc").write_bytes(older)
    with pytest.raises(KeysUnusable, match="one backup"):
        async with running(tmp_path):
            pass
