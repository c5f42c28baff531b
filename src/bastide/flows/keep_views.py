"""Views of the table of devices: a name for what somebody looks at again and again."""

from urllib.parse import parse_qsl, urlencode

from bastide.core.error import Refused
from bastide.flows.govern_device import Governing
from bastide.ports.platform.views import SavedView

MOST = 50
MAX_QUERY = 2000


async def save_view(person: str, name: str, query: str, shared: bool, actor: str, with_: Governing) -> SavedView:
    """Keeps a view under a name; the same name again replaces it."""
    name = " ".join(name.split())
    if not name or len(name) > 80 or not name.isprintable():
        raise Refused("Give the view a name of 1 to 80 printable characters.", code="view:name")
    if len(query) > MAX_QUERY:
        raise Refused("The view is too long to keep; search for less, or choose fewer columns.", code="view:query")
    own = [one for one in await with_.stores.views.of(person) if one.person == person]
    if len(own) >= MOST and name not in {one.name for one in own}:
        raise Refused(f"You keep {MOST} views; remove one first.", code="view:most")
    # What stands in the address is taken apart and put together again: a view is never a place to keep other text.
    plain = urlencode([(key, value) for key, value in parse_qsl(query, max_num_fields=200) if key != "after"])
    view = SavedView(person, name, plain, shared, with_.clock.now())
    async with with_.unit_of_work(actor) as work:
        work.views.put(view)
    return view


async def remove_view(person: str, name: str, actor: str, with_: Governing) -> None:
    """Forgets a view of one's own."""
    async with with_.unit_of_work(actor) as work:
        work.views.remove(person, name)
