"""The offline OUI table. Loaded once, read-only, no network."""

import asyncio
from collections.abc import Callable

from aiooui import async_load, get_vendor


def offline_vendors() -> Callable[[str], str | None]:
    """A lookup from ``aa:bb:cc:dd:ee:ff`` to the maker's name, or None."""
    asyncio.run(async_load())
    return get_vendor
