"""What an act on the network asks before it is done: what it will do, how it is undone, and a reason that can be edited."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bastide.core.device import Device
from bastide.core.mode import Over
from bastide.core.plan import NetworkMode
from bastide.core.proposal import Proposal
from bastide.core.ruling import Ruling
from bastide.flows.enforce_reach import BEFORE, LIMIT, PROBATION
from bastide.network.profile.amend import Flow

HOURS: Mapping[int, str] = {1: "1 hour", 8: "8 hours", 24: "24 hours", 72: "3 days", 168: "7 days"}


@dataclass(frozen=True, slots=True)
class Question:
    """A dialog. ``hidden`` are the form's fields that nobody edits, ``hours`` the spans to choose from (empty: none)."""

    title: str
    lead: str
    facts: tuple[tuple[str, str], ...]
    action: str
    button: str
    reason: str
    hidden: Mapping[str, str] = field(default_factory=dict)
    hours: Mapping[int, str] = field(default_factory=dict)
    insist: bool = False
    wants_reason: bool = True


def service(flow: Flow) -> str:
    """``tcp/443``"""
    return f"{flow.transport}/{flow.port}" if flow.port else flow.transport


def flow_words(flow: Flow) -> str:
    """``tcp/443 to cloud.example (192.0.2.7)``"""
    peer = f"{flow.peer_name} ({flow.peer})" if flow.peer_name else flow.peer
    return f"{service(flow)} {'to' if flow.opened_by_device else 'from'} {peer}"


def fields_of(flow: Flow) -> dict[str, str]:
    """The flow as the acts on it take it, in an address or a form."""
    return {
        "peer": flow.peer,
        "name": flow.peer_name,
        "transport": flow.transport,
        "port": str(flow.port),
        "out": "1" if flow.opened_by_device else "0",
    }


def about_flow(answer: str, device: Device, flow: Flow, kind_size: int) -> Question:
    """The dialog for ``permit``, ``allow`` or ``deny``. ``kind_size`` is how many devices have the profile."""
    name, words = device.name or device.id, flow_words(flow)
    action = f"/devices/{device.id}/flows/{answer}"
    hidden = fields_of(flow)
    if answer == "permit":
        many = f"{kind_size} devices have" if kind_size != 1 else "1 device has"
        return Question(
            f"Add to the profile {device.profile}?",
            f"Every device of the profile may then do what {name} did.",
            (
                ("It permits", words),
                ("For whom", f"{many} this profile now"),
                ("When", "Gateways hold it within seconds"),
                ("Undo", "Store the profile’s earlier network part again; the ledger keeps every one"),
            ),
            action,
            "Add it",
            f"{name} needs {words}",
            hidden,
        )
    if answer == "allow":
        return Question(
            f"Let this through for {name}?",
            "Only for this device, and only until it ends by itself. The profile stays as it is.",
            (
                ("It lets through", words),
                ("When", "Gateways hold it within seconds, and end it by the kernel’s own clock"),
                ("Undo", "Take it back at any time"),
            ),
            action,
            "Let it through",
            f"{name} needs {words} for now",
            hidden,
            HOURS,
        )
    return Question(
        f"Keep this denied for {name}?",
        "Nothing changes on the network; nobody is asked about it again, and nobody counts it as missing.",
        (("It stays denied", words), ("Undo", "Take it back at any time")),
        action,
        "Keep it denied",
        f"{name} does not need {words}",
        hidden,
    )


def about_undo(device: Device, ruling: Ruling) -> Question:
    """The dialog for taking a word about a flow back."""
    flow = Flow(ruling.peer, "", ruling.transport, ruling.port, ruling.opened_by_device)
    then = "It is denied again within seconds" if ruling.allows else "It is asked about again"
    return Question(
        "Take this back?",
        ruling.reason,
        (("It was", "let through" if ruling.allows else "kept denied"), ("Flow", flow_words(flow)), ("Then", then)),
        f"/devices/{device.id}/flows/undo",
        "Take it back",
        "",
        {"ruling": ruling.id},
        wants_reason=False,
    )


def about_mode(over: Over, name: str, title: str, mode: NetworkMode, insist: bool = False) -> Question:
    """The dialog for observing or enforcing. ``insist`` offers to do it although too much would be cut."""
    action = f"/devices/{name}/mode/{mode}" if over is Over.DEVICE else f"/network/profiles/{name}/mode/{mode}"
    if mode is NetworkMode.OBSERVE:
        return Question(
            f"Observe {title} only?",
            "What the profile denies is logged and let through. Quarantine and the like are not affected.",
            (("When", "Gateways hold it within seconds"), ("Undo", "Enforce it at any time")),
            action,
            "Observe it",
            "",
        )
    return Question(
        f"Enforce {title}?",
        "What the profile denies is dropped.",
        (
            (
                "First",
                f"It is refused where a device would lose more than {LIMIT:.0%} of what it was answered in {BEFORE.days} days",
            ),
            (
                "Then",
                f"For {int(PROBATION.total_seconds() // 60)} minutes a device that does lose more goes back to observe by itself",
            ),
            ("Undo", "Observe it at any time"),
        ),
        action,
        "Enforce it",
        "",
        insist=insist,
    )


def about_proposal(proposal: Proposal, answer: str, more: int, less: int) -> Question:
    """The dialog for ``approve``, ``decline`` or ``end`` (of a lesson)."""
    action = f"/network/proposals/{proposal.id}/{answer}"
    if answer == "approve":
        return Question(
            f"Put this in force for {proposal.profile}?",
            f"It permits {more} {'thing' if more == 1 else 'things'} more and {less} less than what is in force.",
            (
                ("When", "Gateways hold it within seconds"),
                ("Then", "For 15 minutes a device that misses too much goes back to observe by itself"),
                ("Undo", "Approve another proposal, or store the earlier file again; the ledger keeps every one"),
            ),
            action,
            "Approve it",
            "",
        )
    if answer == "end":
        return Question(
            f"End the lesson of {proposal.profile} now?",
            "What was heard so far becomes a proposal; nothing of it is in force before somebody approves it.",
            (("Undo", "Begin another lesson, and count what was heard before"),),
            action,
            "End it",
            "",
        )
    return Question(
        f"Decline this for {proposal.profile}?",
        "What is in force stays as it is.",
        (("Undo", "Hand the file in again"),),
        action,
        "Decline it",
        "",
    )
