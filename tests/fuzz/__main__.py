"""`python -m tests.fuzz [--seconds N] [--only NAME] [--seed N]`: each target for N seconds; crashes are kept.

Inputs that broke a target are written to ``tests/fuzz/corpus/<target>/`` and run first from then on.
"""

import argparse
import hashlib
import sys
import time
from pathlib import Path
from random import Random

from tests.fuzz import Target
from tests.fuzz.mutate import mutations
from tests.fuzz.targets import targets

CORPUS = Path(__file__).parent / "corpus"


def kept(target: Target) -> tuple[bytes, ...]:
    """Inputs that broke this target once."""
    folder = CORPUS / target.name
    return tuple(path.read_bytes() for path in sorted(folder.glob("*"))) if folder.is_dir() else ()


def fuzz(target: Target, seconds: float, seed: int) -> tuple[int, Exception | None]:
    """Runs for about ``seconds``; gives the number of inputs and the first error that the target may not raise."""
    ends, tried = time.monotonic() + seconds, 0
    for data in mutations(kept(target) + target.seeds, Random(seed)):
        try:
            target.parse(data)
        except target.allowed:
            pass
        except Exception as error:
            folder = CORPUS / target.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
            return tried, error
        tried += 1
        if tried % 64 == 0 and time.monotonic() > ends:
            break
    return tried, None


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--only", default="")
    options.add_argument("--seed", type=int, default=int(time.time()))
    given = options.parse_args()
    print(f"fuzz: seed {given.seed}, {given.seconds:g} s a target")
    broken = 0
    for target in targets():
        if given.only in target.name:
            tried, error = fuzz(target, given.seconds, given.seed)
            print(f"  {target.name:32} {tried:>10,} inputs  {'ok' if error is None else repr(error)[:160]}", flush=True)
            broken += error is not None
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
