"""How often Python looks for cycles of dead objects in this process.

By default every 700 new containers. A batch of 5,000 ledger records makes some 20,000 that all live until they are written, so
the collector would walk them again and again and find nothing: a quarter of the time of a batch (bench/ledger.py).
"""

import gc

NEW_OBJECTS = 10_000


def tune() -> None:
    """Called once all is imported: what is there now stays for the life of the process, and is not walked again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 10, 10)
