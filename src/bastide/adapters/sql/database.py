"""The database: one writer thread that commits in groups, and a few readers that answer in groups.

A unit of work is a list of changes. The writer takes every unit that waits, runs them in one transaction and makes one
fsync, so sixty-four writers cost about as much as one. First the whole group runs as it is; where one of its units is
refused (a precondition does not hold), the group is rolled back and runs again with a savepoint around each unit, so a
refused unit takes none of its neighbours with it. Changes are therefore functions that can run twice.

A reader takes the questions that wait, a few at a time, and answers them in one transaction: beginning and ending one, and
waking a thread, cost more than most questions.

SQLite: WAL, ``synchronous=FULL``, ``BEGIN IMMEDIATE``, and the driver's own transaction handling switched off
(with the driver's defaults concurrent increments are lost silently; tests/ports/test_database.py tries that).
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, overload

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from bastide.core.audit import Personal, Record, Recorded
from bastide.core.error import Conflict, Refused, Unavailable
from bastide.core.ids import RecordId

T = TypeVar("T")
Change = Callable[[Connection], None]
Append = Callable[[Connection, Sequence[Any]], None]
Listener = Callable[[Sequence[Record]], None]

# A group larger than this makes its first unit wait too long for its last one.
GROUP_UNITS = 512
# A question may have to wait for the slowest of its group; what is answered is told after so long.
GROUP_QUESTIONS = 8
TELL_SECONDS = 0.005
READERS = 4
BUSY_TIMEOUT_MS = 10_000
DRIVER = "postgresql+psycopg"
ADDRESSES = f"Write {DRIVER}://USER@HOST/NAME, or leave it out for SQLite in the data directory."


RecordParts = tuple[RecordId, str, str, str | Personal, datetime, Mapping[str, Recorded]]
"""What a ``Record`` is made of, in its order."""


class Committed(Sequence[Record]):
    """The records of a commit. Each is made when somebody looks at it, since most listeners only want to know that there are."""

    def __init__(self, parts: Sequence[RecordParts]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return Committed(self._parts[index]) if isinstance(index, slice) else Record(*self._parts[index])


@dataclass(slots=True)
class Unit:
    """What one unit of work collected. ``appends`` are rows that cannot be refused, by the function that inserts them: it is
    called once for a whole group, after all changes."""

    changes: list[Change] = field(default_factory=list)
    appends: dict[Append, list[Any]] = field(default_factory=dict)
    records: list[RecordParts] = field(default_factory=list)

    def change(self, apply: Change) -> None:
        self.changes.append(apply)

    def append(self, insert: Append, row: Any) -> None:
        self.appends.setdefault(insert, []).append(row)

    @property
    def empty(self) -> bool:
        return not (self.changes or self.appends or self.records)


class _Caller:
    """Somebody on the event loop who waits for what a thread does."""

    __slots__ = ("answer", "error", "future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.answer: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        if self.future.done():  # the caller was cancelled; what was committed stays committed
            return
        if self.error is None:
            self.future.set_result(self.answer)
        else:
            self.future.set_exception(self.error)


class _Waiting(_Caller):
    """A unit, and the caller who waits for it."""

    __slots__ = ("unit",)

    def __init__(self, unit: Unit, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.unit = unit


class _Question(_Caller):
    """What a caller asked, and what came of it."""

    __slots__ = ("ask",)

    def __init__(self, ask: Callable[[Connection], Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.ask = ask


class Database:
    """Open with :meth:`open`, close with :meth:`close`. Methods are for one event loop; the threads are its own."""

    def __init__(self, writer: Engine, reader: Engine) -> None:
        self.engine = writer
        self.reader = reader
        self._listeners: list[Listener] = []
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._answer_groups, name=f"sql-read-{number}", daemon=True)
            for number in range(READERS)
        ]
        for thread in self._readers:
            thread.start()
        self._thread = threading.Thread(target=self._write_groups, name="sql-write", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, url: str) -> "Database":
        """``sqlite:////path/state.db`` or ``postgresql+psycopg://…``. The schema is made by ``migrate``, not here."""
        writer = _engine(url, begin="BEGIN IMMEDIATE", size=1)
        if writer.dialect.name == "sqlite":
            # Turning the write-ahead log on wants the file for itself: SQLite says "locked" at once where a reader connects
            # at the same moment. What else may be wrong with the file is said by whoever uses it first.
            with suppress(DBAPIError):
                writer.connect().close()
        return cls(writer, _engine(url, begin="BEGIN", size=READERS))

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def on_committed(self, listener: Listener) -> None:
        """Calls ``listener`` on the caller's event loop with the records of each committed unit, in commit order."""
        self._listeners.append(listener)

    async def read(self, ask: Callable[[Connection], T]) -> T:
        """Runs ``ask`` on a reader's connection, in one snapshot."""
        question = _Question(ask, asyncio.get_running_loop())
        self._questions.put(question)
        answer: T = await question.future
        return answer

    async def write(self, unit: Unit) -> None:
        """Makes the unit durable, or raises and changes nothing. A cancelled caller's unit may still be committed."""
        if unit.empty:
            return
        waiting = _Waiting(unit, asyncio.get_running_loop())
        self._queue.put(waiting)
        await waiting.future

    async def close(self) -> None:
        self._queue.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        for _ in self._readers:
            self._questions.put(None)
        for thread in self._readers:
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self.engine.dispose()
        self.reader.dispose()

    def _answer_groups(self) -> None:
        while True:
            group, closing = _those_that_wait(self._questions, GROUP_QUESTIONS)
            while group:
                told = self._answer(group)
                group = group[len(told) :]
                told[0].loop.call_soon_threadsafe(_settle_questions, told)
            if closing:
                return

    def _answer(self, group: Sequence[_Question]) -> Sequence[_Question]:
        """Answers the first of them in one snapshot, as many as there is time for, up to one that fails."""
        answered = 0
        began = time.monotonic()
        try:
            with self.reader.connect() as connection, connection.begin() as transaction:
                for question in group:
                    answered += 1
                    question.answer = question.ask(connection)
                    if time.monotonic() - began > TELL_SECONDS:
                        break
                transaction.rollback()
        except Exception as error:  # whoever asked must hear of it, whatever it was
            failed = group[max(answered - 1, 0)]
            failed.error = _named("read", error)
            return group[: max(answered, 1)]
        return group[:answered]

    def _write_groups(self) -> None:
        while True:
            group, closing = _those_that_wait(self._queue, GROUP_UNITS)
            if group:
                self._commit(group)
                group[0].loop.call_soon_threadsafe(self._settle, group)
            if closing:
                return

    def _settle(self, group: Sequence[_Waiting]) -> None:
        records = [record for waiting in group if waiting.error is None for record in waiting.unit.records]
        for waiting in group:
            waiting.settle()
        if records:
            for listener in self._listeners:
                listener(Committed(records))

    def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            with self.engine.begin() as connection:
                for waiting in group:
                    _apply(connection, waiting.unit)
                _append(connection, group)
        except Exception as error:  # every waiting caller must hear of it, whatever it was
            if len(group) == 1:
                group[0].error = _named("write", error)
            else:
                self._commit_apart(group)

    def _commit_apart(self, group: Sequence[_Waiting]) -> None:
        """As :meth:`_commit`, with a savepoint around each unit: only the units that fail hear of it."""
        try:
            with self.engine.begin() as connection:
                for waiting in group:
                    try:
                        with connection.begin_nested():
                            _apply(connection, waiting.unit)
                    except Exception as error:
                        waiting.error = _named("write", error)
                _append(connection, [waiting for waiting in group if waiting.error is None])
        except Exception as error:
            for waiting in group:
                waiting.error = waiting.error or _named("write", error)


def _those_that_wait(waiting: "queue.SimpleQueue[T | None]", most: int) -> tuple[list[T], bool]:
    """Waits for one, and takes all that are there by then, up to so many; True where the end (None) was among them."""
    group: list[T] = []
    one = waiting.get()
    while one is not None:
        group.append(one)
        if len(group) == most:
            return group, False
        try:
            one = waiting.get_nowait()
        except queue.Empty:
            return group, False
    return group, True


def _settle_questions(group: Sequence[_Question]) -> None:
    for question in group:
        question.settle()


def _apply(connection: Connection, unit: Unit) -> None:
    for change in unit.changes:
        change(connection)


def _append(connection: Connection, group: Sequence[_Waiting]) -> None:
    rows: dict[Append, list[Any]] = {}
    for waiting in group:
        for insert, more in waiting.unit.appends.items():
            rows.setdefault(insert, []).extend(more)
    for insert, all_rows in rows.items():
        insert(connection, all_rows)


def _named(act: str, error: Exception) -> Exception:
    """A driver's error as ours: a broken uniqueness rule is a conflict, all else is that the database does not work now."""
    if isinstance(error, IntegrityError):
        return Conflict(f"Somebody else wrote the same thing first ({error.orig}). Read it again and try again.")
    if isinstance(error, DBAPIError):
        sentence = f"The database could not {act}: {error.orig}. Nothing was changed; try again when it is well."
        return Unavailable(sentence)
    return error


def _engine(url: str, *, begin: str, size: int) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise Refused(f"The database's address cannot be read. {ADDRESSES}") from error
    if parsed.drivername == DRIVER:
        return create_engine(parsed, pool_size=size, max_overflow=0, pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite":
        raise Refused(f"Bastide does not keep its state in {parsed.drivername}. {ADDRESSES}")
    engine = create_engine(
        parsed,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        connect_args={"isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            # The log is copied into the file every 32 MB: with the default of 4 MB a batch of 10,000 ledger records would
            # copy the same index pages several times over.
            "wal_autocheckpoint=8192",
            "foreign_keys=ON",
            "cache_size=-8192",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_as_told(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
