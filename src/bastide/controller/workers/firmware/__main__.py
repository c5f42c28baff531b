"""The order of things: separate, bound, import, lock down, and only then look at the first octet."""

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

MAX_BYTES = 4 << 30
CPU_SECONDS_MORE = 60


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    order = json.loads(sys.stdin.buffer.readline())
    from bastide.controller.workers.firmware import wiring

    missing = wiring.separate()
    wiring.bound(int(order["memory_bytes"]), int(order["seconds"]) + CPU_SECONDS_MORE)
    began = time.monotonic()
    from bastide.operations.firmware.budget import Budget
    from bastide.operations.firmware.check import check_image, check_tree, warm_up
    from bastide.operations.firmware.unpack.archives import tar

    warm_up()
    missing += wiring.lock_down()
    _say(stage="ready", start_seconds=round(time.monotonic() - began, 3), not_sandboxed=missing)
    looked = time.monotonic()
    try:
        data = wiring.read_all(int(order["descriptor"]), MAX_BYTES)
        budget = Budget(time.monotonic, seconds=float(order["seconds"]))
        now = datetime.now(UTC)
        if order["tree"]:
            report = check_tree(tar(data, Budget(time.monotonic)), budget, now)
        else:
            report = check_image(str(order["name"]), data, budget, now)
    except MemoryError:
        _say(failed="The check reached its memory limit; check the image's parts one by one.")
        return
    report["octets"] = len(data)
    report["seconds"] = round(time.monotonic() - looked, 3)
    report["not_sandboxed"] = missing
    _say(report=report)


if __name__ == "__main__":
    main()
