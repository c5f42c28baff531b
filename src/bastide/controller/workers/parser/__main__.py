"""The order of things: separate, bound, import and compile, lock down, and only then look at the first octet."""

import json
import sys
import time
from typing import Any

from bastide.core.error import Unreadable

CPU_SECONDS_AT_LEAST = 300
OCTETS_PER_CPU_SECOND = 5_000_000
"""Far below what the slowest path does: a limit against loops, not a schedule."""

FOR_EVER_SECONDS = 10 * 366 * 86_400


def _say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    order = json.loads(sys.stdin.buffer.readline())
    from bastide.controller.workers.parser import wiring

    missing = wiring.separate()
    octets = int(order.get("octets", 0))
    seconds = FOR_EVER_SECONDS if "live" in order else CPU_SECONDS_AT_LEAST + octets // OCTETS_PER_CPU_SECOND
    wiring.bound(int(order["memory_bytes"]), seconds)
    began = time.monotonic()
    from bastide.controller.workers.parser import live
    from bastide.controller.workers.parser.work import matcher_of, recog_of, scan, tokens, warm_up
    from bastide.network.traffic.oui import read_prefixes, vendor_of

    vendor = wiring.vendors()
    captures = wiring.open_captures([(entry["name"], entry["descriptor"]) for entry in order["captures"]])
    ring = wiring.open_ring(order["live"]) if "live" in order else None
    described = order.get("fingerprints")
    fingerprints = wiring.read_descriptor(described) if described is not None else None
    prefixes = wiring.read_descriptor(order["oui"]) if order.get("oui") is not None else None
    recog_documents = [wiring.read_descriptor(each) for each in order.get("recog", ())]
    warm_up()
    missing += wiring.lock_down()
    _say(stage="ready", start_seconds=round(time.monotonic() - began, 3), not_sandboxed=missing)

    def progress(name: str, done: int, size: int) -> None:
        _say(progress=name, done=done, size=size)

    try:
        if prefixes is not None:
            vendor = vendor_of(read_prefixes(prefixes), vendor)
        if ring is not None:
            live.follow(ring, matcher_of(fingerprints), vendor, float(order["every"]), _say)
            return
        if "wanted" in order:
            report = tokens(captures, vendor, order, progress)
        else:
            report = scan(captures, fingerprints, vendor, order, progress, recog_of(recog_documents))
    except Unreadable as error:
        _say(refused=error.sentence, code=error.reason)
        return
    except MemoryError:
        _say(failed="The parser reached its memory limit; scan fewer files at once.")
        return
    report["not_sandboxed"] = missing
    _say(report=report)


if __name__ == "__main__":
    main()
