"""Network parts for a profile wait here for a person: learned in a span of time, or handed in. None is in force before.

* A **lesson** listens to a profile's devices until its deadline, and ends by itself: what they did becomes one proposal, the
  smallest that permits it; what is too rare to trust, or that nobody answered, is left out and told. One lesson a profile.
* Whoever **approves** stores it as the profile's network part, on probation like every new one; other open ones step back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bastide.core.audit import Personal
from bastide.core.error import NotFound, Refused
from bastide.core.ids import ProfileName
from bastide.core.proposal import Origin, Proposal, ProposalState
from bastide.flows.describe_network import application_of, put_reach
from bastide.flows.govern_device import Governing
from bastide.flows.operator_acts import checked_reason
from bastide.flows.simulate_reach import devices_of, file_of, talk_of
from bastide.network.profile.change import change
from bastide.network.profile.learn import Lesson, learn, profile
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.write import write
from bastide.ports.clock import Ids
from bastide.ports.platform.conversations import Wanted
from bastide.ports.platform.stores import DeviceFilter

ACTOR = "system:lessons"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=90)
AT_LEAST = 2
"""Flows that an entry must have been seen in: one is an accident."""
MOST_HEARD = 5_000
MOST_TOLD = 60
MOST_LOOKED_AT = 10_000


async def begin_lesson(
    name: ProfileName, span: timedelta, actor: str, with_: Governing, ids: Ids, *, since: timedelta = timedelta(0)
) -> Proposal:
    """Listens to the profile's devices for so long; ``since`` counts what was heard before too."""
    await with_.stores.catalogue.profile(name)
    if not SHORTEST <= span <= LONGEST or not timedelta(0) <= since <= LONGEST:
        raise Refused(
            "A lesson lasts from a minute to 90 days; what is longer is no lesson but a habit.", code="lesson:span"
        )
    running = next(
        (one for one in await with_.stores.network.proposals(name) if one.state is ProposalState.LEARNING), None
    )
    if running is not None:
        raise Refused(
            f"The profile {name} is being learned already, until {running.ends_at:%Y-%m-%d %H:%M} UTC ({running.id}).",
            code="lesson:running",
        )
    now = with_.clock.now()
    lesson = Proposal(
        ids.mint("n"), name, Origin.LEARNED, ProposalState.LEARNING, b"", (), actor, now - since, now + span
    )
    told = {"proposal": lesson.id, "from": lesson.at.isoformat(), "ends_at": (now + span).isoformat()}
    await _keep(lesson, "network:lesson:begun", told, actor, with_)
    return lesson


async def end_lesson(id: str, actor: str, with_: Governing) -> Proposal:
    """Makes the proposal of what was heard since the lesson began."""
    lesson = await _found(id, with_)
    if lesson.state is not ProposalState.LEARNING:
        raise Refused(f"The lesson {id} has ended already.", code="lesson:ended")
    now = with_.clock.now()
    devices = await devices_of(lesson.profile, DeviceFilter(), with_.stores)
    talks, heard = [], 0
    for device in devices:
        said = await with_.stores.conversations.list(Wanted(lesson.at, now, (device.id,), MOST_HEARD))
        talks += [talk_of(one) for one in said]
        heard += bool(said)
    learned = learn(talks, at_least=AT_LEAST)
    title = (await with_.stores.catalogue.profile(lesson.profile)).title
    at = now.replace(microsecond=0)
    made = profile(learned, url=f"https://bastide.invalid/{lesson.profile}.json", at=at, systeminfo=title[:60])
    told = (f"{heard} of {len(devices)} devices were heard, from {lesson.at:%Y-%m-%d %H:%M} UTC on.", *_told(learned))
    state, document = (ProposalState.OPEN, write(made)) if learned.kept else (ProposalState.EMPTY, b"")
    ended = replace(lesson, state=state, document=document, told=told, ends_at=now)
    await _keep(ended, "network:lesson:ended", {"proposal": id, "entries": len(learned.kept)}, actor, with_)
    return ended


async def end_due_lessons(with_: Governing) -> Sequence[Proposal]:
    """Ends the lessons whose deadline has passed."""
    now = with_.clock.now()
    due = [
        one
        for one in await with_.stores.network.proposals(limit=MOST_LOOKED_AT)
        if one.state is ProposalState.LEARNING and one.ends_at is not None and one.ends_at <= now
    ]
    return [await end_lesson(one.id, ACTOR, with_) for one in due]


async def propose(
    name: ProfileName,
    document: bytes,
    origin: Origin,
    told: Sequence[str],
    actor: str,
    with_: Governing,
    ids: Ids,
) -> Proposal:
    """Hands in a MUD file for a person to decide on. ``MUDRefused`` where it is none."""
    await with_.stores.catalogue.profile(name)
    notes = [f"Note {one.code}: {one.sentence}" for one in read(document).notes]
    proposal = Proposal(
        ids.mint("n"),
        name,
        origin,
        ProposalState.OPEN,
        document,
        (*told, *notes[:MOST_TOLD]),
        actor,
        with_.clock.now(),
    )
    await _keep(proposal, "network:proposal:made", {"proposal": proposal.id, "origin": origin}, actor, with_)
    return proposal


async def approve(id: str, reason: str, actor: str, with_: Governing) -> Proposal:
    """Puts it in force as the profile's network part."""
    proposal, now = await _open(id, with_), with_.clock.now()
    done = replace(
        proposal,
        state=ProposalState.APPROVED,
        decided_by=actor,
        decided_at=now,
        reason=checked_reason(reason),
    )
    others = [
        one
        for one in await with_.stores.network.proposals(proposal.profile)
        if one.state is ProposalState.OPEN and one.id != id
    ]
    await put_reach(proposal.profile, proposal.document, actor, with_)
    told = {"proposal": id, "reason": Personal(done.reason)}
    await _keep(done, "network:proposal:approved", told, actor, with_)
    for one in others:
        stepped = replace(one, state=ProposalState.REPLACED, decided_by=actor, decided_at=now)
        await _keep(stepped, "network:proposal:replaced", {"proposal": one.id, "by": id}, actor, with_)
    return done


async def decline(id: str, reason: str, actor: str, with_: Governing) -> Proposal:
    """Says no; what is in force stays."""
    proposal = await _found(id, with_)
    if proposal.state not in (ProposalState.OPEN, ProposalState.LEARNING):
        raise Refused(f"{id} was decided on already: {proposal.state}.", code="proposal:decided")
    done = replace(
        proposal,
        state=ProposalState.DECLINED,
        decided_by=actor,
        decided_at=with_.clock.now(),
        reason=checked_reason(reason),
    )
    told = {"proposal": id, "reason": Personal(done.reason)}
    await _keep(done, "network:proposal:declined", told, actor, with_)
    return done


async def changes_of(proposal: Proposal, with_: Governing) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(sentences that it permits more, sentences that it permits no more) than what is in force."""
    if not proposal.document:
        return (), ()
    after = read(proposal.document).file
    in_force = await file_of(proposal.profile, with_.stores.network)
    before = in_force if in_force is not None else replace(after, from_device=(), to_device=())
    # What its devices say at the broker stays where the file says nothing of it.
    said = application_of(await with_.stores.catalogue.profile(proposal.profile)) if after.application else None
    found = change(replace(before, application=said), after)
    return found.all_more, found.all_less


def _told(lesson: Lesson) -> tuple[str, ...]:
    """How sure each entry is, and what was left out: what whoever decides should read."""
    kept = [
        f"{one}: {one.flows} flows of {one.devices} {'device' if one.devices == 1 else 'devices'}, {one.confidence:.0%} sure"
        for one in lesson.kept
    ]
    out = [f"Left out: {one} ({one.because})" for one in lesson.left_out]
    more = len(kept) + len(out) - MOST_TOLD
    return (*kept, *out)[:MOST_TOLD] + ((f"And {more} more.",) if more > 0 else ())


async def _found(id: str, with_: Governing) -> Proposal:
    found = await with_.stores.network.proposal(id)
    if found is None:
        raise NotFound(f"There is no proposal {id[:40]!r}.")
    return found


async def _open(id: str, with_: Governing) -> Proposal:
    found = await _found(id, with_)
    if found.state is not ProposalState.OPEN:
        raise Refused(f"{id} waits for nobody: it is {found.state}.", code="proposal:decided")
    return found


async def _keep(proposal: Proposal, kind: str, told: Mapping[str, object], actor: str, with_: Governing) -> None:
    async with with_.unit_of_work(actor) as work:
        work.network.put_proposal(proposal)
        work.ledger.record(kind, f"profile:{proposal.profile}", dict(told))
