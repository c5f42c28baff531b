"""Settings of the whole suite."""

import os

from bastide.adapters.sandbox.parser import cache_folder

# Compiled kernels are kept where the parser process keeps them: by a digest of their sources, compiled once for both.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder()))
