"""Which slot is started, as a table. Nothing is read or written here.

| trial | other slot good | tries left | active slot good | what is done |
|---|---|---|---|---|
| none | - | - | yes | start the active slot |
| none | yes | - | no | start the other slot, make it active: the active one rotted |
| pending | yes | yes | - | take one try away, start the other slot on trial |
| pending | no | - | yes | forget the trial, start the active slot |
| running | yes | yes | - | take one try away, start it again: a trial may have been cut short |
| running | yes | no | yes | forget the trial, start the active slot: it did not confirm itself |
| running | no | - | yes | forget the trial, start the active slot |
| any trial | yes | - | no | start the other slot on trial: there is nothing else |
| any | no | - | no | nothing can be started |

*Good* means signed, whole, for this hardware and not below the counter. The counter is raised by ``confirm`` and by nothing else,
after the confirmation is there to stay; so an image that is still on trial can always be left again.
"""

from dataclasses import dataclass, replace

from bastide.device.boot.state import BootState, Trial

TRIES = 3


@dataclass(frozen=True, slots=True)
class Start:
    """The slot to start (None: nothing can be), on trial or not, and the state to keep before it is started."""

    slot: int | None
    on_trial: bool
    state: BootState


def choose(state: BootState, good: tuple[bool, bool]) -> Start:
    """What the table says. ``good`` is by slot."""
    other = 1 - state.active
    if state.trial is not Trial.NONE and good[other] and (state.tries > 0 or not good[state.active]):
        left = max(state.tries - 1, 0)
        return Start(other, True, replace(state, trial=Trial.RUNNING, tries=left))
    if good[state.active]:
        return Start(state.active, False, replace(state, trial=Trial.NONE, tries=0))
    if good[other]:
        return Start(other, False, replace(state, active=other, trial=Trial.NONE, tries=0))
    return Start(None, False, state)


def pending(state: BootState) -> BootState:
    """The other slot is to be tried at the next start."""
    return replace(state, trial=Trial.PENDING, tries=TRIES)


def confirmed(state: BootState) -> BootState:
    """The image on trial stays. Without a trial nothing changes."""
    if state.trial is not Trial.RUNNING:
        return state
    return replace(state, active=1 - state.active, trial=Trial.NONE, tries=0)
