"""MQTT topics as NATS subjects, as nats-server writes them (its server/mqtt.go; MQTT 3.1.1 section 4.7).

- ``/`` between levels becomes ``.``; a ``.`` in a level becomes ``//``; an empty first, middle or last level becomes ``/``.
- ``+`` becomes ``*`` and ``#`` becomes ``>``. ``a/#`` also matches ``a`` itself (MQTT 3.1.1 4.7.1.2), which ``a.>`` does
  not: such a filter is two subjects.
- The broker has no subject for a space, and none for the wildcards of the other side (``*``, ``>``).

Devices live in an account where the mapping ``devices.> -> up.>`` holds for all that is published: what a device says
leaves on ``up.<device>.<channel>``, and nobody but the ingest worker listens there. What a device hears comes on
``devices.<device>.<channel>``, where no device can publish.
"""

from bastide.core.error import Refused
from bastide.core.ids import DeviceId

DOWN = "devices"
UP = "up"
# The server's own limit is the payload's; a level deeper than this is no channel that a profile can declare.
MAX_TOPIC_BYTES = 1024


def subject_of(topic: str) -> str:
    """The subject on which nats-server publishes an MQTT topic, or subscribes to a filter."""
    if not topic or len(topic.encode()) > MAX_TOPIC_BYTES:
        raise _unusable(topic, "is empty or too long")
    if any(character in " *>\t\r\n\0" for character in topic):
        raise _unusable(topic, "holds a character that the broker has no subject for")
    out: list[str] = []
    last = len(topic) - 1
    for index, character in enumerate(topic):
        if character == "/":
            if index == 0 or out[-1].endswith("."):
                out.append("/." if index < last else "/./")
            elif index == last:
                out.append("./")
            else:
                out.append("." if topic[index + 1] != "/" else "./")
        elif character == ".":
            out.append("//")
        else:
            out.append({"+": "*", "#": ">"}.get(character, character))
    return "".join(out)


def filter_subjects(topic_filter: str) -> tuple[str, ...]:
    """The subjects that a connection needs so that it may subscribe to a filter: two for one that ends in ``/#``."""
    subject = subject_of(topic_filter)
    return (subject[:-2], subject) if subject.endswith(".>") else (subject,)


def uplink_subject(topic: str) -> str:
    """The subject on which what is published to ``devices/…`` leaves, by the account's mapping."""
    subject = subject_of(topic)
    if not subject.startswith(f"{DOWN}."):
        raise _unusable(topic, f"is not below {DOWN}/")
    return UP + subject[len(DOWN) :]


def uplink_of(subject: str) -> tuple[DeviceId, str] | None:
    """Device and channel of a subject ``up.<device>.<channel>``; None for any other subject."""
    parts = subject.split(".", 2)
    if len(parts) != 3 or parts[0] != UP or not parts[1] or not parts[2]:
        return None
    return DeviceId(parts[1]), parts[2]


def topic_of(subject: str) -> str:
    """A subject as the device wrote it, for people: ``up.d-….x`` is ``devices/d-…/x``. The reverse of the rules above."""
    if subject == UP or subject.startswith(f"{UP}."):
        subject = DOWN + subject[len(UP) :]
    out, index = [], 0
    while index < len(subject):
        if subject.startswith("//", index):
            out.append(".")
            index += 2
        elif subject[index] == "/":
            # An empty level: "/." at the start or in the middle, "./" at the end; the dot is read by itself.
            index += 1
            if index < len(subject) and subject[index] == ".":
                out.append("/")
                index += 1
        else:
            out.append({".": "/", "*": "+", ">": "#"}.get(subject[index], subject[index]))
            index += 1
    return "".join(out)


def channel_of(topic: str, device: DeviceId) -> str:
    """The channel's name inside the platform: the subject's part after the device."""
    subject = subject_of(topic)
    prefix = f"{DOWN}.{device}."
    if not subject.startswith(prefix) or len(subject) == len(prefix):
        raise _unusable(topic, f"is not below {DOWN}/{device}/")
    return subject[len(prefix) :]


def _unusable(topic: str, why: str) -> Refused:
    return Refused(f"The topic {topic[:80]!r} {why}; use {DOWN}/{{device}}/<channel>.", code="broker:topic:unusable")
