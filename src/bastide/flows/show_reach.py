"""What a device may do on the network beside what it does: its profile's sentences with what was heard, and what is denied.

What is heard comes from kept conversations, what is denied from the gateways' own reports; a flow that both tell of is one.
What people ruled about a flow stands with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bastide.core.conversation import Conversation
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Subject, SubjectKind
from bastide.core.ids import DeviceId
from bastide.core.mode import Setting, mode_for, setting_for
from bastide.core.plan import NetworkMode
from bastide.core.ruling import Ruling
from bastide.flows.describe_network import frame_of
from bastide.flows.govern_device import Governing
from bastide.flows.simulate_reach import file_of, judged
from bastide.network.profile.amend import Flow
from bastide.network.profile.mud.words import MUDFile
from bastide.network.profile.plain import Sentence, sentences
from bastide.network.segmentation.denial import DENIED, denied_flow
from bastide.network.segmentation.simulate import Judged
from bastide.network.segmentation.site import site_of
from bastide.ports.platform.conversations import Wanted

MOST_HEARD = 2_000
MOST_FACTS = 500
_Key = tuple[str, str, int, bool]


class Fate(StrEnum):
    """What becomes of a flow that the profile does not permit. ``observed``: logged and let through."""

    DENIED = "denied"
    OBSERVED = "observed"
    LET_THROUGH = "let-through"
    KEPT_DENIED = "kept-denied"


@dataclass(frozen=True, slots=True)
class Unpermitted:
    """``heard`` are flows, ``answered`` whether the peer ever took part, ``tried`` packets that a gateway denied; ``missing``
    is the entry that would permit it, ``nearest`` one that does but for one thing."""

    flow: Flow
    protocol: str
    fate: Fate
    heard: int
    answered: bool
    tried: int
    last: datetime
    missing: str
    nearest: str
    ruling: Ruling | None = None


@dataclass(frozen=True, slots=True)
class Permitted:
    """A sentence of the profile with what was heard of it: flows, octets, distinct peers, the last time."""

    sentence: str
    peer: str
    flows: int = 0
    octets: int = 0
    peers: int = 0
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """``file`` is None where nobody wrote down whom the profile may reach: then all that is heard is in ``heard``."""

    since: datetime
    file: MUDFile | None
    mode: NetworkMode
    setting: Setting | None
    unpermitted: tuple[Unpermitted, ...]
    permitted: tuple[Permitted, ...]
    heard: tuple[Conversation, ...]


async def show_reach(device: Device, span: timedelta, with_: Governing) -> Reached:
    """Side by side, over the last days."""
    stores, now = with_.stores, with_.clock.now()
    since = now - span
    heard = tuple(await stores.conversations.list(Wanted(since, now, (device.id,), MOST_HEARD)))
    settings = await stores.network.modes(device)
    mode = mode_for(device, settings)
    file = await file_of(device.profile, stores.network)
    facts = await stores.evidence.recent(Subject(SubjectKind.DEVICE, device.id), MOST_FACTS)
    denials = [one for one in facts if one.kind == DENIED and one.observed_at >= since]
    rulings = await stores.network.rulings(now, device.id)
    tried = _tried(denials)
    unpermitted: tuple[Unpermitted, ...] = _ruled({}, rulings)
    permitted: tuple[Permitted, ...] = ()
    if file is not None:
        # What was denied is judged anew: the profile may permit it by now.
        said = (*heard, *(_conversation(device.id, flow, what.last) for flow, what in tried.items()))
        found = judged(device, said, file, site_of(await frame_of(device.site, with_)))
        unpermitted = _ruled(_unpermitted(found.cut, tried, mode), rulings)
        permitted = permitted_of(file, (one for one in found.kept if one.talk.flows))
    return Reached(since, file, mode, setting_for(device, settings), unpermitted, permitted, heard)


@dataclass(frozen=True, slots=True)
class _Tried:
    """How many packets of a flow gateways say they denied, and when last."""

    packets: int
    last: datetime


def _tried(denials: Iterable[Evidence]) -> dict[Flow, _Tried]:
    found: dict[Flow, _Tried] = {}
    for fact in denials:
        flow = denied_flow(fact)
        if flow is not None:
            known = found.get(flow, _Tried(0, fact.observed_at))
            found[flow] = _Tried(known.packets + fact.count, max(known.last, fact.observed_at))
    return found


def _unpermitted(cut: Iterable[Judged], tried: Mapping[Flow, _Tried], mode: NetworkMode) -> dict[_Key, Unpermitted]:
    fate = Fate.OBSERVED if mode is NetworkMode.OBSERVE else Fate.DENIED
    denied = {flow.key: what.packets for flow, what in tried.items()}
    found: dict[_Key, Unpermitted] = {}
    for one in cut:
        talk = one.talk
        flow = one.flow
        last = datetime.fromtimestamp(talk.last / 1e9, UTC)
        known = found.get(flow.key)
        if known is not None:  # heard and denied, or heard as two protocols
            heard, answered = known.heard + talk.flows, known.answered or one.answered
            flow = flow if flow.peer_name else known.flow
            found[flow.key] = replace(known, flow=flow, heard=heard, answered=answered, last=max(last, known.last))
            continue
        found[flow.key] = Unpermitted(
            flow,
            talk.protocol,
            fate,
            talk.flows,
            one.answered,
            denied.get(flow.key, 0),
            last,
            one.because,
            one.nearest,
        )
    return found


def _ruled(found: dict[_Key, Unpermitted], rulings: Iterable[Ruling]) -> tuple[Unpermitted, ...]:
    """With what people ruled; what nobody ruled about comes first, what was answered before the rest."""
    for ruling in rulings:
        word = Fate.LET_THROUGH if ruling.allows else Fate.KEPT_DENIED
        flow = Flow(ruling.peer, "", ruling.transport, ruling.port, ruling.opened_by_device)
        known = found.get(ruling.key, Unpermitted(flow, ruling.transport, word, 0, False, 0, ruling.at, "", ""))
        found[ruling.key] = replace(known, fate=word, ruling=ruling)
    return tuple(
        sorted(
            found.values(),
            key=lambda one: (one.ruling is not None, not one.answered, -one.heard, -one.tried, one.flow.peer),
        )
    )


def permitted_of(file: MUDFile, kept: Iterable[Judged]) -> tuple[Permitted, ...]:
    """Every sentence of the file, what was heard of it first; then what RFC 8520 permits by itself."""
    said = [one for one in sentences(file) if one.permitted]
    by_entry: Mapping[str, Sentence] = {f"entry {name}": one for one in said for name in one.entries}
    used: dict[str, list[Judged]] = {}
    for one in kept:
        sentence = by_entry.get(one.because)
        used.setdefault(str(sentence) if sentence else one.because, []).append(one)
    rows = [_row(str(one), one.peer, used.pop(str(one), [])) for one in said]
    rows += [_row(because, "", many) for because, many in used.items()]
    return tuple(sorted(rows, key=lambda one: (-one.flows, one.sentence)))


def _row(sentence: str, peer: str, heard: Sequence[Judged]) -> Permitted:
    if not heard:
        return Permitted(sentence, peer)
    return Permitted(
        sentence,
        peer,
        sum(one.talk.flows for one in heard),
        sum(one.talk.bytes_sent + one.talk.bytes_received for one in heard),
        len({one.talk.peer for one in heard}),
        max(datetime.fromtimestamp(one.talk.last / 1e9, UTC) for one in heard),
    )


def _conversation(device: DeviceId, flow: Flow, last: datetime) -> Conversation:
    """A flow that was only tried, in the form of one that was heard: of no flows, and unanswered."""
    out = flow.opened_by_device
    return Conversation(
        device,
        flow.peer,
        "",
        flow.transport,
        flow.port,
        flow.transport,
        out,
        0,
        int(out),
        int(not out),
        0,
        0,
        last,
        last,
    )
