"""The commands by name. A command's module is imported only when it is the one that was typed, so that the others cost
nothing at start. To add one, add a line: its name, ``module:attribute`` and what ``bastide --help`` says of it.

The attribute is a ``typer.Typer`` (a group, ``bastide device list``) or a function with typer's annotations (``bastide up``).
"""

from typing import NamedTuple


class Command(NamedTuple):
    name: str
    target: str
    help: str


COMMANDS: tuple[Command, ...] = (
    Command("scan", "bastide.cli.scan:scan", "Name the devices in a capture and say what is wrong with them."),
    Command("watch", "bastide.cli.watch:watch", "Listen on an interface and keep the inventory up to date."),
    Command("look", "bastide.cli.look:look", "Ask the devices of named ranges what they serve, gently; opt-in."),
    Command(
        "fingerprint", "bastide.cli.fingerprint:app", "Learn device types from labelled captures, and measure them."
    ),
    Command("up", "bastide.cli.up:up", "Start everything on this machine; Ctrl-C stops it."),
    Command("demo", "bastide.cli.demo:demo", "Run the demo fleet against a Bastide that runs here."),
    Command(
        "device", "bastide.cli.device:app", "Find devices, see why each stands as it does, quarantine and release."
    ),
    Command("inventory", "bastide.cli.inventory:app", "What there is: search, take out, bring in, merge and split."),
    Command("claim", "bastide.cli.claim:app", "The right to enrol one device, once, until it expires."),
    Command(
        "agent", "bastide.cli.agent:agent", "On a device: enrol it by the best that it has, and keep it certified."
    ),
    Command(
        "credential", "bastide.cli.credential:app", "Keys and certificates by algorithm and age; who is late to renew."
    ),
    Command("vendor", "bastide.cli.vendor:app", "Makers whose devices prove themselves, and the devices to expect."),
    Command("enrolment", "bastide.cli.enrolment:app", "Let devices ask without any proof; approve or decline them."),
    Command("profile", "bastide.cli.profile:app", "What each kind of device is expected to say and hear."),
    Command("reach", "bastide.cli.reach:reach", "Who may ever reach what: devices, hosts, topics; and why not."),
    Command("segment", "bastide.cli.segment:app", "Who may talk to whom on the network; proved by real packets."),
    Command("site", "bastide.cli.site:app", "What the network of each site is like, for its gateways."),
    Command("gateway", "bastide.cli.gateway:app", "The gateway of a site: join, run, and load its rules at boot."),
    Command("release", "bastide.cli.release:app", "Signed releases: made by several people, published for devices."),
    Command("rollout", "bastide.cli.rollout:app", "A published release for the devices of a class, ring by ring."),
    Command("firmware", "bastide.cli.firmware:app", "What is inside a firmware image, and what is wrong with it."),
    Command(
        "match",
        "bastide.cli.match:match",
        "Which parts of an SBOM are affected, unknown or not, and what to fix first.",
    ),
    Command("version", "bastide.cli.version:app", "Version order and ranges of every ecosystem; never guessed."),
    Command("class", "bastide.cli.device_class:app", "The kinds of device, and who answers for each."),
    Command("policy", "bastide.cli.policy:app", "The rules in force; what others would do, before they are applied."),
    Command("waiver", "bastide.cli.waiver:app", "Exceptions to rules, each with an owner, a reason and an end."),
    Command("ledger", "bastide.cli.ledger:app", "What was done, by whom and why."),
    Command("audit", "bastide.cli.audit:app", "Check the ledger; prove from it to somebody who does not trust it."),
    Command("people", "bastide.cli.people:app", "Accounts, their roles and what they may see."),
    Command("sign-in", "bastide.cli.people:sign_in", "One-time links to sign in to the console with."),
    Command("token", "bastide.cli.token:app", "API tokens, for programs."),
    Command("backup", "bastide.cli.backup:app", "Everything that cannot be made again, in one sealed file; and back."),
    Command("ceremony", "bastide.cli.ceremony:app", "The root's key in shares: check them, sign the next CA with it."),
    Command("authority", "bastide.cli.authority:app", "The CAs of the platform: which there are, and the next one."),
    Command("trust", "bastide.cli.trust:app", "Let this machine's browsers trust the console, or take that back."),
)
