"""Settings of the whole suite."""

import os

from hypothesis import HealthCheck, settings

from bastide.adapters.sandbox.parser import cache_folder

# Compiled kernels are kept where the parser process keeps them: by a digest of their sources, compiled once for both.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))

# A loaded machine is slow for a while; no test fails by the clock.
settings.register_profile("bastide", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bastide")
