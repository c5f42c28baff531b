"""Profiles and device classes come in: checked, recorded; an unknown class gets the generic profile, never a refusal."""

from bastide.core.error import NotFound, Refused
from bastide.core.ids import DeviceClass, OwnerName, ProfileName, SiteName, is_name
from bastide.core.profile import Profile
from bastide.flows.govern_device import Governing
from bastide.network.profile.document import GENERIC, parse_profile
from bastide.ports.platform.catalogue import ClassEntry

GENERIC_PROFILE = ProfileName("generic")
UNASSIGNED = OwnerName("unassigned")
MAIN_SITE = SiteName("main")


async def put_profile(
    document: str, actor: str, with_: Governing, owner: OwnerName = UNASSIGNED, site: SiteName = MAIN_SITE
) -> Profile:
    """Stores a profile, and registers its class where that is new (an existing class keeps its owner and site).

    The governor decides again for the devices of the profile: their grants may differ now.
    """
    profile, now = parse_profile(document), with_.clock.now()
    try:
        known = await with_.stores.catalogue.device_class(profile.device_class)
        owner, site = known.owner, known.site
    except NotFound:
        pass
    entry = ClassEntry(profile.device_class, profile.name, owner, site, profile.impact, now)
    async with with_.unit_of_work(actor) as work:
        work.catalogue.put_profile(profile, document, now)
        work.catalogue.put_class(entry)
        work.ledger.record("profile:document:stored", f"profile:{profile.name}", {"document": document})
    return profile


async def ensure_class(
    name: str, actor: str, with_: Governing, owner: OwnerName = UNASSIGNED, site: SiteName = MAIN_SITE
) -> tuple[ClassEntry, bool]:
    """The class of that name, and whether it was new: a class that nobody described uses the generic profile."""
    if not is_name(name):
        raise Refused(
            f"{name!r} cannot name a device class: use 1 to 63 characters of a-z 0-9 . _ -", code="class:name"
        )
    try:
        return await with_.stores.catalogue.device_class(DeviceClass(name)), False
    except NotFound:
        pass
    generic, now = await ensure_generic(with_), with_.clock.now()
    entry = ClassEntry(DeviceClass(name), generic.name, owner, site, generic.impact, now)
    async with with_.unit_of_work(actor) as work:
        work.catalogue.put_class(entry)
        work.ledger.record("class:registered", f"class:{name}", {"profile": generic.name, "owner": owner, "site": site})
    return entry, True


async def ensure_generic(with_: Governing) -> Profile:
    """The generic profile, stored where it is not there yet."""
    try:
        return await with_.stores.catalogue.profile(GENERIC_PROFILE)
    except NotFound:
        return await put_profile(GENERIC, "system:first-run", with_)
