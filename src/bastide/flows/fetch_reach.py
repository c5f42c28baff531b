"""A maker's MUD file, fetched and proposed: what its signature is worth is told, and a person approves it.

A file whose signature does not fit it is refused; one without a trusted signature waits with that sentence. What was approved is
fetched again when its cache-validity ends (RFC 8520, section 3.4), and proposed again only where it changed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from bastide.core.error import BastideError, NotFound, Refused
from bastide.core.ids import DeviceId, ProfileName
from bastide.core.proposal import Origin, Proposal, ProposalState
from bastide.flows.govern_device import Governing
from bastide.flows.propose_reach import propose
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.signature import Signature, SignatureState, judge
from bastide.ports.clock import Ids
from bastide.ports.platform.mud import Fetched, MUDFiles

ACTOR = "system:mud-files"
MUD_URL = "mud-url"
SHORTEST = timedelta(hours=1)
_NEVER = (SignatureState.ALTERED, SignatureState.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Fetching:
    """``anchors`` gives the makers' CAs that the operator trusts, as they are at that moment."""

    files: MUDFiles
    anchors: Callable[[], Sequence[x509.Certificate]]


async def url_of(device: DeviceId, with_: Governing) -> str:
    """The MUD URL that the device's maker certified (RFC 8520 11), or that it was heard to say of itself (DHCP, LLDP)."""
    found = (await with_.stores.devices.get(device)).attribute(MUD_URL)
    if found is None:
        raise NotFound(
            f"No maker's certificate, DHCP (option 161, 112) or LLDP names a MUD file for {device}; hand the URL in."
        )
    return found.value


async def fetch_reach(
    profile: ProfileName, url: str, actor: str, with_: Governing, fetching: Fetching, ids: Ids
) -> Proposal:
    """Fetches a file and proposes it. ``MUDRefused`` where it is none; ``Refused`` where its signature does not fit it."""
    await with_.stores.catalogue.profile(profile)
    fetched = await fetching.files.fetch(url)
    return await _propose(profile, url, fetched, actor, with_, fetching, ids)


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What changed and was proposed, and what could not be fetched, in words; that is tried again in an hour."""

    made: tuple[Proposal, ...]
    failed: tuple[str, ...]


async def refresh(last: dict[ProfileName, datetime], with_: Governing, fetching: Fetching, ids: Ids) -> Refreshed:
    """Fetches again what is due, and proposes what changed. ``last`` is when each was last asked for; it is kept up to date."""
    now, made, failed = with_.clock.now(), [], []
    newest: dict[ProfileName, Proposal] = {}
    for one in await with_.stores.network.proposals(limit=1000):
        if one.state in (ProposalState.APPROVED, ProposalState.OPEN):
            newest.setdefault(one.profile, one)
    for profile, one in newest.items():
        if one.origin is not Origin.FETCHED or not one.document:
            continue
        file = read(one.document).file
        validity = max(file.cache_validity, SHORTEST)
        if now < max(one.at, last.get(profile, one.at)) + validity:
            continue
        try:
            fetched = await fetching.files.fetch(file.url)
            if fetched.document != one.document:
                made.append(await _propose(profile, file.url, fetched, ACTOR, with_, fetching, ids))
        except BastideError as error:
            last[profile] = now - validity + SHORTEST
            failed.append(f"{profile}: {error.sentence}")
            continue
        last[profile] = now
    return Refreshed(tuple(made), tuple(failed))


async def _propose(
    profile: ProfileName, url: str, fetched: Fetched, actor: str, with_: Governing, fetching: Fetching, ids: Ids
) -> Proposal:
    file = read(fetched.document).file
    told = [f"Fetched from {url}."]
    if file.url != url:
        told.append(f"It calls itself {file.url}, and was fetched from another address.")
    signature = _judged(fetched, fetching, with_.clock.now())
    if isinstance(signature, str):
        told.append(signature)
    elif signature.state in _NEVER:
        raise Refused(f"{url} is not taken: {signature.sentence}", code=f"mud:signature:{signature.state}")
    else:
        told.append(f"Its signature is {signature.state}: {signature.sentence}")
    if not file.is_supported:
        told.append("Its maker no longer supports this kind of device.")
    return await propose(profile, fetched.document, Origin.FETCHED, told, actor, with_, ids)


def _judged(fetched: Fetched, fetching: Fetching, now: datetime) -> Signature | str:
    if fetched.missing:
        return f"Its signature could not be fetched: {fetched.missing}"
    if fetched.signature is None:
        return "It is not signed: whoever serves that address decides what it says."
    return judge(fetched.document, fetched.signature, fetching.anchors(), now)
