"""The inventory's keys: one suite over memory, SQLite and PostgreSQL."""

from bastide.core.ids import DeviceId
from bastide.testing.clock import EPOCH
from tests.ports.conftest import State
from tests.ports.values import HOUR, A, B

MAC, NAME = "mac:00:11:22:33:44:55", "name:main/hall-cam"


async def test_a_key_belongs_to_the_device_that_it_was_last_bound_to(state: State) -> None:
    async with state.units("test") as work:
        work.inventory.bind(MAC, A, EPOCH)
        work.inventory.bind(NAME, A, EPOCH)
    assert await state.stores.inventory.keys_of(A) == [MAC, NAME]
    async with state.units("test") as work:
        work.inventory.bind(MAC, B, EPOCH + HOUR)
    assert await state.stores.inventory.bound([MAC, NAME, "mac:00:00:00:00:00:01"]) == {MAC: B, NAME: A}
    assert await state.stores.inventory.keys_of(A) == [NAME]


async def test_what_nobody_bound_is_left_out(state: State) -> None:
    assert await state.stores.inventory.bound([]) == {}
    assert await state.stores.inventory.bound([MAC]) == {}
    assert await state.stores.inventory.keys_of(DeviceId("d-" + "z" * 20)) == []
