"""Column types that mean the same on SQLite and PostgreSQL, and the codec of stored values.

Times are integers, microseconds since 1970 in UTC: they sort, compare and index alike everywhere. Values are stored as the
canonical JSON of the core's dataclasses.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, Dialect, TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


def to_microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def from_microseconds(value: int) -> datetime:
    return EPOCH + value * MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_microseconds(value)


_encoder = msgspec.json.Encoder(order="deterministic")


def dump(value: Any) -> str:
    """A core value as JSON text."""
    return _encoder.encode(value).decode()


def load(text: str, kind: type[T]) -> T:
    """The core value that :func:`dump` wrote."""
    return msgspec.json.decode(text, type=kind)
