"""`bastide audit`: the whole ledger judged from its tables, on SQLite and PostgreSQL; whatever was changed is found and named."""

import asyncio
import io
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bastide import cli
from bastide.adapters.sql.ledger_audit import audit_tables, opened_for_audit
from bastide.core.audit import Personal
from bastide.core.ids import RecordId
from bastide.governance.audit.reconcile import Journal, reconcile
from bastide.governance.audit.record import ERASED
from bastide.governance.audit.verdict import Verdict
from bastide.wire.journal import GENESIS, Entry, write_line
from tests.ports.ledgers import Ledger

COUNT = 300


@dataclass(frozen=True, slots=True)
class Story:
    """A ledger with everything in it: checkpoints, two levels of tiles, facts kept and erased, records not yet signed."""

    ledger: Ledger
    url: str
    ids: Sequence[RecordId]
    journal: Sequence[Entry]

    def verify(self, journal: Sequence[Entry] | None = None) -> Verdict:
        entries = self.journal if journal is None else journal
        told = Journal.of(entries)
        with opened_for_audit(self.url) as connection:
            audit = audit_tables(connection, self.ledger.key, told)
        verdict = audit.finish()
        reconcile(verdict, audit.signing, told, told)
        return verdict

    async def change(self, statement: str, **values: Any) -> None:
        def run(connection: Any) -> None:
            assert connection.execute(text(statement), values).rowcount == 1

        from bastide.adapters.sql.database import Unit

        unit = Unit()
        unit.change(run)
        await self.ledger.database.write(unit)


@pytest.fixture
async def story(ledger: Ledger) -> Story:
    ids: list[RecordId] = []
    for part in range(0, COUNT, 100):
        async with ledger.units("test") as work:
            for number in range(part, part + 100):
                who = Personal("ada") if number % 20 == 0 else "system"
                ids.append(work.ledger.record("test:made", f"device:d-{number % 7}", {"n": number}, actor=who))
        await ledger.integrate()
    async with ledger.units("system:enrolment") as work:
        body = {"request": "device:q-1", "serial": "4d2"}
        ids.append(work.ledger.record("signing:device:intended", "device:d-1", {"request": "device:q-1"}))
        ids.append(work.ledger.record("signing:device:issued", "device:d-1", body))
        ids.append(work.ledger.record("signing:device:intended", "device:d-2", {"request": "device:q-2"}))
    async with ledger.units(Personal("eve")) as work:
        ids.append(work.ledger.record("person:seen", "person:1", {}))
    facts = await ledger.reads.personal("eve")
    async with ledger.units("operator") as work:
        ids.append(work.ledger.erase(facts))
    await ledger.integrate()
    ids += await ledger.write(5, "test:pending")
    state = await ledger.tree.state()
    assert state.checkpoint is not None
    head = {"size": state.size, "root": state.checkpoint.root.hex()}
    journal = [
        Entry(1, "", "opened"),
        Entry(2, "", "signed", "device:q-1", "device", "", {"serial": "4d2"}),
        Entry(3, "", "signed", "broker-user:x", "broker-user", ""),
        Entry(4, "", "signed", "checkpoint:x", "checkpoint", "", head),
    ]
    return Story(ledger, ledger.database.engine.url.render_as_string(hide_password=False), ids, journal)


async def test_an_untouched_ledger_holds(story: Story) -> None:
    verdict = story.verify()
    assert verdict.good, verdict.problems
    assert (verdict.records, verdict.pending, verdict.erased, verdict.checkpoints) == (310, 5, 1, 4)
    assert verdict.checkpoint == await story.ledger.reads.checkpoint()
    assert any("device:q-2" in notice for notice in verdict.notices)


FLIPS: list[tuple[str, str, int | None]] = [
    ("records.body", "UPDATE ledger_records SET body = :octets WHERE position = 123", 123),
    ("records.leaf", "UPDATE ledger_records SET leaf = :octets WHERE position = 123", 123),
    ("records.position", "UPDATE ledger_records SET position = 10123 WHERE position = 123", 123),
    ("records.id_key", "UPDATE ledger_records SET id_key = id_key + 256 WHERE position = 123", 123),
    ("records.kind_key", "UPDATE ledger_records SET kind_key = kind_key + 1 WHERE position = 123", 123),
    ("records.subject_key", "UPDATE ledger_records SET subject_key = subject_key - 1 WHERE position = 123", 123),
    ("records, deleted", "DELETE FROM ledger_records WHERE position = 123", 123),
    ("pending body", "UPDATE ledger_records SET body = :octets WHERE position = 308", 308),
    ("pending leaf", "UPDATE ledger_records SET leaf = :octets WHERE position = 308", 308),
    ("kinds.kind", "UPDATE ledger_kinds SET kind = 'test:fade' WHERE kind = 'test:made'", None),
    ("tiles.hashes 0", "UPDATE ledger_tiles SET hashes = :octets WHERE level = 0 AND number = 1", 256),
    ("tiles.hashes 1", "UPDATE ledger_tiles SET hashes = :octets WHERE level = 1 AND number = 0", 0),
    ("tiles.level", "UPDATE ledger_tiles SET level = 3 WHERE level = 1", None),
    ("tiles.number", "UPDATE ledger_tiles SET number = 9 WHERE level = 0 AND number = 1", 256),
    ("tiles.shard", "UPDATE ledger_tiles SET shard = 1 WHERE level = 0 AND number = 1", 256),
    ("checkpoints.root", "UPDATE ledger_checkpoints SET root = :octets WHERE size = 200", 199),
    ("checkpoints.size", "UPDATE ledger_checkpoints SET size = 201 WHERE size = 200", 200),
    ("checkpoints.shard", "UPDATE ledger_checkpoints SET shard = 1 WHERE size = 200", 199),
    ("checkpoints.note", "UPDATE ledger_checkpoints SET note = replace(note, '200', '204') WHERE size = 200", 199),
    ("shards.origin", "UPDATE ledger_shards SET origin = 'bastide/tesu'", None),
    ("shards.first", "UPDATE ledger_shards SET first = 1", None),
    ("shards.shard", "UPDATE ledger_shards SET shard = 1", None),
    ("personal.value", "UPDATE ledger_personal SET value = 'adb' WHERE record = :record", 100),
    ("personal.salt", "UPDATE ledger_personal SET salt = :octets WHERE record = :record", 100),
    ("personal.record", "UPDATE ledger_personal SET record = 'r-other' WHERE record = :record", 100),
    ("personal.commitment", "UPDATE ledger_personal SET commitment = 'x' WHERE record = :record", 100),
    ("personal, lost", "DELETE FROM ledger_personal WHERE record = :record", 100),
]


@pytest.mark.parametrize(("what", "statement", "index"), FLIPS, ids=[flip[0] for flip in FLIPS])
async def test_one_flipped_byte_is_found_and_the_record_is_named(
    story: Story, what: str, statement: str, index: int | None
) -> None:
    if ":octets" in statement:
        column, table, where = (
            statement.split(" SET ")[1].split(" = ")[0],
            statement.split()[1],
            statement.split(" WHERE ")[1].replace(":record", f"'{story.ids[100]}'"),
        )
        stored = await story.ledger.database.read(
            lambda connection: bytes(connection.scalar(text(f"SELECT {column} FROM {table} WHERE {where}")))
        )
        for place in {0, len(stored) // 2, len(stored) - 1}:
            changed = bytearray(stored)
            changed[place] ^= 0x01
            values = {"octets": bytes(changed)} | ({"record": story.ids[100]} if ":record" in statement else {})
            await story.change(statement, **values)
            below = 256 ** int("level = 1" in statement) * (place // 32) if table == "ledger_tiles" else 0
            _named(story.verify(), None if index is None else index + below, story.ids)
            await story.change(statement, **(values | {"octets": stored}))
        assert story.verify().good
        return
    await story.change(statement, **({"record": story.ids[100]} if ":record" in statement else {}))
    _named(story.verify(), index, story.ids)


def _named(verdict: Verdict, index: int | None, ids: Sequence[RecordId]) -> None:
    assert not verdict.good
    if index is not None:
        assert index in {problem.index for problem in verdict.problems}, verdict.problems
        assert {problem.record for problem in verdict.problems if problem.index == index} <= {ids[index], None}


async def test_a_record_forged_with_its_hashes_is_found_by_the_next_checkpoint(story: Story) -> None:
    """The attacker has the whole database, and not the signer's key."""
    from bastide.core.merkle import leaf_hash

    def forge(connection: Any) -> None:
        body = connection.scalar(text("SELECT body FROM ledger_records WHERE position = 150"))
        forged = bytes(body).replace(b'"n":150', b'"n":151')
        set_ = text("UPDATE ledger_records SET body = :body, leaf = :leaf WHERE position = 150")
        connection.execute(set_, {"body": forged, "leaf": leaf_hash(forged)})
        tile = bytearray(connection.scalar(text("SELECT hashes FROM ledger_tiles WHERE level = 0 AND number = 0")))
        tile[150 * 32 : 151 * 32] = leaf_hash(forged)
        connection.execute(
            text("UPDATE ledger_tiles SET hashes = :t WHERE level = 0 AND number = 0"), {"t": bytes(tile)}
        )

    from bastide.adapters.sql.database import Unit

    unit = Unit()
    unit.change(forge)
    await story.ledger.database.write(unit)
    sentences = [problem.sentence for problem in story.verify().problems]
    assert any("one of records 100 to 199 was changed" in sentence for sentence in sentences), sentences


NULL = "00" * 32

JOURNALS: list[tuple[str, Callable[[list[Entry]], list[Entry]], str]] = [
    ("unintended", lambda j: [*j, Entry(5, "", "signed", "device:q-9", "device", "", {"serial": "1"})], "never intended"),
    ("of another profile", lambda j: [*j, Entry(5, "", "signed", "device:q-2", "server", "", {})], "never intended"),
    ("missing", lambda j: [j[0], *j[2:]], "not signed by this signer"),
    ("another serial", lambda j: [*j[:1], Entry(2, "", "signed", "device:q-1", "device", "", {"serial": "9"}), *j[2:]], "serial"),
    ("another root", lambda j: [*j[:3], Entry(4, "", "signed", "c", "checkpoint", "", {"size": 9, "root": NULL})], "journal"),
    ("ahead", lambda j: [*j, Entry(5, "", "signed", "c", "checkpoint", "", {"size": 999, "root": NULL})], "set back"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "change", "sentence"), JOURNALS, ids=[one[0] for one in JOURNALS])
async def test_a_journal_that_tells_another_story_is_found(
    story: Story, what: str, change: Callable[[list[Entry]], list[Entry]], sentence: str
) -> None:
    problems = [problem.sentence for problem in story.verify(change(list(story.journal))).problems]
    assert any(sentence in problem for problem in problems), problems


def _directory(story: Story, path: Path) -> Path:
    """A data directory with the public key and a journal in it."""
    (path / "trust").mkdir(parents=True)
    (path / "trust" / "checkpoint.vkey").write_text(f"{story.ledger.key}\n")
    (path / "signer").mkdir()
    written, follows = b"", GENESIS
    for entry in story.journal:
        line, follows = write_line(follows, entry)
        written += line
    (path / "signer" / "journal.log").write_bytes(written)
    return path


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    capsys.readouterr()
    status = cli.run([*arguments])
    said = capsys.readouterr()
    return status, json.loads(said.out) if "--json" in arguments and said.out else said.out, said.err


async def test_the_commands_verify_prove_export_and_check(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _directory(story, tmp_path / "data")
    where = ("--data", str(data), "--database-url", story.url)
    assert _run(capsys, "audit", "verify", *where)[0] == 0
    status, told, _ = _run(capsys, "audit", "verify", "--json", *where)
    assert (status, told["good"], told["records"], told["checkpoint"]["size"]) == (0, True, 310, 305)

    bundle, key = tmp_path / "all.bundle", tmp_path / "public.vkey"
    key.write_text(str(story.ledger.key))
    for choice in ([], ["--subject", "device:d-3"], ["--kind", "signing:"], ["--from", "10", "--to", "260"]):
        assert _run(capsys, "audit", "export", "--out", str(bundle), *choice, *where)[0] == 0
        status, told, _ = _run(capsys, "audit", "check", str(bundle), "--key", str(key), "--json")
        assert (status, told["good"], told["checkpoint"]["size"]) == (0, True, 305)

    status, told, _ = _run(capsys, "audit", "prove", story.ids[7], "--json", *where)
    assert (status, told["records"]) == (0, 1)
    status, proof, _ = _run(capsys, "audit", "prove", story.ids[7], *where)
    (tmp_path / "proof").write_text(proof)
    assert _run(capsys, "audit", "check", str(tmp_path / "proof"), "--key", str(key))[0] == 0

    _run(capsys, "audit", "export", "--out", str(bundle), "--show-personal", *where)
    assert bundle.read_bytes().count(b'"ada"') == 15
    forged = bundle.read_bytes().replace(b'\\"n\\":42,', b'\\"n\\":43,').replace(b'\\"n\\":42}', b'\\"n\\":43}')
    bundle.write_bytes(forged)
    status, told, _ = _run(capsys, "audit", "check", str(bundle), "--key", str(key), "--json")
    assert (status, told["problems"][0]["index"], told["problems"][0]["record"]) == (1, 42, story.ids[42])


async def test_a_changed_database_or_journal_ends_in_status_1(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _directory(story, tmp_path / "data")
    where = ("--data", str(data), "--database-url", story.url)
    journal = data / "signer" / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b"device:q-1", b"device:q-3"))
    status, told, _ = _run(capsys, "audit", "verify", "--json", *where)
    assert (status, told["problems"][0]["where"]) == (1, "journal")
    journal.write_bytes(whole)
    await story.change("UPDATE ledger_records SET leaf = body WHERE position = 3")
    status, said, _ = _run(capsys, "audit", "verify", *where)
    assert status == 1
    assert "record 3" in said


async def test_wrong_use_ends_in_status_2_with_one_sentence(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _directory(story, tmp_path / "data")
    where = ("--data", str(data), "--database-url", story.url)
    (tmp_path / "text").write_text("hello\n")
    for arguments in (
        ["verify", "--data", str(tmp_path / "none")],
        ["verify", "--data", str(data)],
        ["verify", "--data", str(data), "--database-url", f"sqlite:///{tmp_path / 'none.db'}"],
        ["verify", *where, "--journal", str(tmp_path / "none")],
        ["verify", *where, "--key", str(tmp_path / "text")],
        ["check", str(tmp_path / "none"), "--data", str(data)],
        ["check", str(tmp_path / "text"), "--data", str(data)],
        ["prove", "r-none", *where],
        ["export", "--out", str(tmp_path / "b"), "--subject", "nobody", *where],
        ["export", "--out", str(tmp_path / "b"), "--from", "3", *where],
        ["export", "--out", str(tmp_path / "b"), "--from", "3", "--to", "9999", *where],
        ["export", "--out", str(tmp_path / "b"), "--kind", "a", "--subject", "b", *where],
    ):
        status, said, complaint = _run(capsys, "audit", *arguments)
        assert (status, said, complaint.count("\n"), "Traceback" in complaint) == (2, "", 1, False), (
            arguments,
            complaint,
        )
    assert not (tmp_path / "b").exists()


async def test_check_touches_nothing_but_the_bundle_and_the_key(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a process of its own, in an empty home, with sockets forbidden."""
    data = _directory(story, tmp_path / "data")
    bundle = tmp_path / "b"
    assert (
        _run(capsys, "audit", "export", "--out", str(bundle), "--data", str(data), "--database-url", story.url)[0] == 0
    )
    program = (
        "import sys, socket\n"
        "def watch(event, arguments):\n"
        "    if event.startswith(('socket.connect', 'sqlite3.', 'subprocess.')):\n"
        "        raise RuntimeError(event)\n"
        "sys.addaudithook(watch)\n"
        "from bastide.cli import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    check = [
        sys.executable,
        "-c",
        program,
        "audit",
        "check",
        str(bundle),
        "--key",
        str(data / "trust" / "checkpoint.vkey"),
    ]
    environment = {"HOME": str(tmp_path / "home")}
    done = await asyncio.to_thread(subprocess.run, check, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_any_byte_of_the_file_that_holds_a_record_is_found(ledger: Ledger, tmp_path: Path) -> None:
    """Bytes of the SQLite file itself, at random places within the ledger's tables, most of which no statement could write."""
    if ledger.database.dialect != "sqlite":
        pytest.skip("the files of PostgreSQL are its own")
    await ledger.write(400)
    await ledger.integrate()
    live = Path(ledger.database.engine.url.database or "")
    missed = await asyncio.to_thread(_flip_bytes, live, tmp_path / "copy.db", ledger)
    assert not missed, missed


def _flip_bytes(live: Path, copy: Path, ledger: Ledger) -> list[int]:
    """Where a flipped bit was not found."""
    with closing(sqlite3.connect(live)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = [
            row[0]
            for row in connection.execute("SELECT pageno FROM dbstat WHERE name IN ('ledger_records', 'ledger_tiles')")
        ]
        used = {
            row[0]: (row[1], row[2])
            for row in connection.execute("SELECT pageno, unused, pagetype FROM dbstat WHERE name LIKE 'ledger_%'")
        }
    good = live.read_bytes()
    chance = random.Random(20261123)
    missed = []
    for _ in range(150):
        page = chance.choice(pages)
        unused, kind = used[page]
        # The free bytes of a b-tree page lie after its cell pointers; content grows from the end of the page.
        place = (page - 1) * 4096 + chance.randrange(min(4095, unused + 400), 4096) if kind != "overflow" else None
        if place is None:
            continue
        changed = bytearray(good)
        changed[place] ^= 1 << chance.randrange(8)
        copy.write_bytes(changed)
        try:
            with opened_for_audit(f"sqlite:///{copy}") as connection_:
                verdict = audit_tables(connection_, ledger.key, Journal()).finish()
        except Exception as error:  # a file that cannot even be opened is found too
            assert "cannot be read" in str(error)  # noqa: PT017
            continue
        if verdict.good:
            missed.append(place)
    return missed


async def test_a_person_is_erased_by_a_command_and_the_audit_knows_it(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--data", str(_directory(story, tmp_path / "data")), "--database-url", story.url)

    async def run(*arguments: str) -> tuple[int, Any, str]:
        return await asyncio.to_thread(_run, capsys, "audit", *arguments)  # the command has an event loop of its own

    assert (await run("erase", "ada", "--json", *where))[1] == {"facts": 15, "erased": False}
    assert (await story.ledger.reads.get(story.ids[0])).actor == Personal("ada")
    monkeypatch.setattr("sys.stdin", io.StringIO("ada\n"))
    assert (await run("erase", "-", "--yes", "--json", *where))[1] == {"facts": 15, "erased": True}
    assert (await story.ledger.reads.get(story.ids[0])).actor == ERASED
    await story.ledger.integrate()
    verdict = story.verify()
    assert verdict.good, verdict.problems
    assert verdict.erased == 16


async def test_who_kept_a_checkpoint_is_shown_that_the_ledger_only_grew(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _directory(story, tmp_path / "data")
    where = ("--data", str(data), "--database-url", story.url)
    kept, bundle = tmp_path / "kept", tmp_path / "b"
    assert _run(capsys, "audit", "export", "--out", str(kept), "--from", "0", "--to", "0", *where)[0] == 0
    await story.ledger.integrate()
    since = ("--since", str(kept))
    assert _run(capsys, "audit", "verify", *since, *where)[0] == 0
    assert _run(capsys, "audit", "export", "--out", str(bundle), *since, *where)[0] == 0
    assert _run(capsys, "audit", "check", str(bundle), *since, "--data", str(data))[0] == 0
    assert _run(capsys, "audit", "check", str(kept), "--since", str(bundle), "--data", str(data))[0] == 1


async def test_pruned_bodies_leave_every_proof_and_are_told_from_lost_ones(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _directory(story, tmp_path / "data")
    where = ("--data", str(data), "--database-url", story.url)
    story.ledger.database.on_committed(story.ledger.sequencer.wake)
    running = asyncio.create_task(story.ledger.sequencer.run())
    try:
        for wrong in (["--before", "9999", "--yes"], [], ["--before", "1", "--older-than", "1"]):
            assert (await asyncio.to_thread(_run, capsys, "audit", "prune", *wrong, *where))[0] == 2
        dry = await asyncio.to_thread(_run, capsys, "audit", "prune", "--older-than", "1", "--json", *where)
        assert dry[1] == {"before": 310, "bodies": 0, "pruned": False}
        done = await asyncio.to_thread(_run, capsys, "audit", "prune", "--before", "304", "--yes", "--json", *where)
        assert done[1] == {"before": 304, "bodies": 301, "pruned": True}  # 300 made, 1 seen; three signings stay
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await story.ledger.integrate()
    verdict = story.verify()
    assert verdict.good, verdict.problems
    assert (verdict.pruned, verdict.erased) == (301, 0)
    bundle = tmp_path / "b"
    assert _run(capsys, "audit", "export", "--out", str(bundle), *where)[0] == 0
    told = _run(capsys, "audit", "check", str(bundle), "--data", str(data), "--json")[1]
    assert (told["good"], told["pruned"], told["records"]) == (True, 301, 311)
    assert (await story.ledger.reads.recent(1))[0].kind == "ledger:bodies:pruned"
    assert await story.ledger.reads.about("device:d-3", 10) == []

    await story.change("UPDATE ledger_records SET body = NULL WHERE position = 307")
    assert 307 in {problem.index for problem in story.verify().problems}
