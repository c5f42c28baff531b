"""The compiled fast path: record readers, layers, flow and device tables, and the choice of payloads for Python.

Rules of this package: numba checks no bounds, so every read of the buffer is behind a comparison with ``end`` in the same
function or in its caller's documented promise; integers stay within 63 bits so that the plain Python form
(``NUMBA_DISABLE_JIT=1``) gives the same answers; no function allocates per packet; every table is bounded and counts what
it evicts. ``NUMBA_BOUNDSCHECK=1`` in a cache folder of its own turns a missed bound into an IndexError under fuzzing.
"""
