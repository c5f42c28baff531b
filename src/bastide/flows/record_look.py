"""An active look is in the ledger before its first packet is sent, and again with what came of it."""

from collections.abc import Sequence

from bastide.core.ids import SiteName
from bastide.flows.govern_device import Governing
from bastide.ports.clock import Ids


async def begin_look(
    source: str, site: SiteName, ranges: Sequence[str], ports: Sequence[str], limits: tuple[int, int], actor: str,
    with_: Governing, ids: Ids,
) -> str:  # fmt: skip
    """Records who is about to ask which ranges on which ports, and at most how fast; the look's id."""
    look = ids.mint("l")
    body = {
        "look": look,
        "source": source,
        "ranges": list(ranges),
        "ports": list(ports),
        "packets_per_second_host": limits[0],
        "packets_per_second": limits[1],
    }
    async with with_.unit_of_work(actor) as work:
        work.ledger.record("inventory:look:begun", f"site:{site}", body)
    return look


async def end_look(
    look: str, site: SiteName, hosts: int, probes: int, answers: int, actor: str, with_: Governing
) -> None:
    """Records what came of it."""
    body = {"look": look, "hosts": hosts, "probes": probes, "answers": answers}
    async with with_.unit_of_work(actor) as work:
        work.ledger.record("inventory:look:ended", f"site:{site}", body)
