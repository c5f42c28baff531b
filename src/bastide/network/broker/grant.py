"""Which topics a device's connection may use: its profile's channels, narrowed by its standing.

trusted: every channel. restricted: the essential ones. Any other standing: none, so the connection is refused.
"""

from bastide.core.ids import DeviceId
from bastide.core.plan import BrokerGrant
from bastide.core.profile import Direction, Profile
from bastide.core.standing import Standing


def grant(profile: Profile, device: DeviceId, standing: Standing) -> BrokerGrant:
    """The grant, with the device's id filled into each topic."""
    if standing not in (Standing.TRUSTED, Standing.RESTRICTED):
        return BrokerGrant()
    open_channels = [channel for channel in profile.channels if channel.essential or standing is Standing.TRUSTED]
    publish, subscribe = (
        tuple(channel.for_device(device) for channel in open_channels if channel.direction is direction)
        for direction in (Direction.PUBLISH, Direction.SUBSCRIBE)
    )
    return BrokerGrant(publish, subscribe, profile.rate_per_second, profile.max_payload_bytes)
