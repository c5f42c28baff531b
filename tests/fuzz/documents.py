"""Documents that people write."""

from bastide.governance.policy.document import BUILT_IN, parse_policy
from bastide.network.profile.document import GENERIC, parse_profile
from tests.fuzz import Target

TARGETS = [
    Target("policy-document", lambda data: parse_policy(data.decode(errors="replace")), (BUILT_IN.encode(),)),
    Target("profile-document", lambda data: parse_profile(data.decode(errors="replace")), (GENERIC.encode(),)),
]
