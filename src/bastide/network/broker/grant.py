"""What a connection may do, from what its kind is expected to do and from its standing.

- **trusted**: every channel of the profile.
- **restricted**: the channels that the profile marks ``essential``, at the profile's rate.
- **quarantined**: no connection. A profile may keep a way to repair open: essential channels that the device *subscribes*
  to below ``repair`` (``devices/{device}/repair``, or deeper). It can be told, and it cannot tell.
- **pending, unknown, retired**: no connection.
"""

from bastide.core.ids import DeviceId
from bastide.core.plan import BrokerGrant
from bastide.core.profile import Channel, Direction, Profile
from bastide.core.standing import Standing
from bastide.network.broker.topics import DOWN, filter_subjects, uplink_subject

REPAIR = "repair"
NOTHING = BrokerGrant()


def grant(profile: Profile, device: DeviceId, standing: Standing) -> BrokerGrant:
    """The broker's part of a plan: topics with the device's id filled in, its rate and its payload limit."""
    kept = [channel for channel in profile.channels if _kept(channel, standing)]
    publish = tuple(channel.for_device(device) for channel in kept if channel.direction is Direction.PUBLISH)
    subscribe = tuple(channel.for_device(device) for channel in kept if channel.direction is Direction.SUBSCRIBE)
    if not publish and not subscribe:
        return NOTHING
    return BrokerGrant(
        publish=publish,
        subscribe=subscribe,
        rate_per_second=profile.rate_per_second if publish else 0.0,
        max_payload_bytes=profile.max_payload_bytes if publish else 0,
    )


def publish_subjects(given: BrokerGrant) -> tuple[str, ...]:
    """The subjects that the connection may publish to, after the account's mapping of ``devices.>``."""
    return tuple(uplink_subject(topic) for topic in given.publish)


def subscribe_subjects(given: BrokerGrant) -> tuple[str, ...]:
    """The subjects that the connection may subscribe to."""
    return tuple(dict.fromkeys(subject for topic in given.subscribe for subject in filter_subjects(topic)))


def _kept(channel: Channel, standing: Standing) -> bool:
    match standing:
        case Standing.TRUSTED:
            return True
        case Standing.RESTRICTED:
            return channel.essential
        case Standing.QUARANTINED:
            path = f"{channel.topic}/"
            repair = path.startswith(f"{DOWN}/{{device}}/{REPAIR}/")
            return repair and channel.essential and channel.direction is Direction.SUBSCRIBE
        case _:
            return False
