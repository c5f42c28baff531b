"""Views that people keep: one suite over memory, SQLite and PostgreSQL."""

from dataclasses import replace

from bastide.ports.platform.views import SavedView
from bastide.testing.clock import EPOCH
from tests.ports.conftest import State

CAMERAS = SavedView("p-ada", "Cameras", "text=camera", shared=False, saved_at=EPOCH)
OLD = SavedView("p-bob", "Old firmware", "text=firmware%3A1", shared=True, saved_at=EPOCH)
OWN = SavedView("p-bob", "Mine", "group=zone", shared=False, saved_at=EPOCH)


async def test_one_sees_ones_own_views_and_then_those_that_others_share(state: State) -> None:
    async with state.units("test") as work:
        for view in (OLD, CAMERAS, OWN):
            work.views.put(view)
    assert await state.stores.views.of("p-ada") == [CAMERAS, OLD]
    assert await state.stores.views.of("p-bob") == [OWN, OLD]
    assert await state.stores.views.of("p-eve") == [OLD]


async def test_the_same_name_again_replaces_a_view_and_a_removed_one_is_gone(state: State) -> None:
    changed = replace(CAMERAS, query="text=camera&group=site")
    async with state.units("test") as work:
        work.views.put(CAMERAS)
        work.views.put(changed)
    assert await state.stores.views.of("p-ada") == [changed]
    async with state.units("test") as work:
        work.views.remove("p-ada", "Cameras")
        work.views.remove("p-ada", "never there")
    assert await state.stores.views.of("p-ada") == []
