"""Packets a second on one core: the fast path and the full scan, beside tshark and nfstream in the same run.

    .venv/bin/python bench/packets.py [--packets 2000000] [--peer-packets 400000] [--skip-nfstream]

The capture is made from the shared ones with addresses, ports and identifiers rewritten in each copy, so nothing is seen twice.
Every tool runs on one core (sched_setaffinity). Start-up is measured apart, on a capture of one packet; peers read a part of
the capture, since a rate is compared and not a time. nfstream gets an environment of its own under the cache folder.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._captures import make
from bench._machine import facts

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path("~/.cache/bastide-bench").expanduser()

_NFSTREAM = """
import sys, time
from nfstream import NFStreamer
began = time.perf_counter()
packets = 0
for flow in NFStreamer(source=sys.argv[1], statistical_analysis=True, n_dissections=20, n_meters=1):
    packets += flow.bidirectional_packets
print(packets, time.perf_counter() - began)
"""

_OURS = """
import resource, sys, time
from pathlib import Path
from bastide.controller.workers.parser.work import warm_up
from bastide.flows.scan_captures import scan_captures
from bastide.network.traffic.report import report_of
from bastide.network.traffic.survey import Survey
from bastide.adapters.capture.files import CaptureFile, open_capture

warm_up()
began = time.perf_counter()
survey = Survey(deep=int(sys.argv[2]))
scan_captures([CaptureFile(sys.argv[1], open_capture(Path(sys.argv[1])))], survey)
report = report_of(survey, lambda _: None) if int(sys.argv[2]) else None
seconds = time.perf_counter() - began
print(report["packets"] if report else int(sys.argv[3]), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def pinned(command: list[str], **more: object) -> "subprocess.CompletedProcess[str]":
    """Runs a command on the first core alone."""
    core = min(os.sched_getaffinity(0))
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        **more,
    )


def ours(capture: Path, deep: int, packets: int) -> tuple[float, int]:
    """Packets a second and peak memory in MiB."""
    said = pinned([sys.executable, "-c", _OURS, str(capture), str(deep), str(packets)]).stdout.split()
    return int(said[0]) / float(said[1]), int(said[2]) // 1024


def command_line(capture: Path) -> float:
    """Seconds of `bastide scan --json` as a whole process, sandbox and start-up included."""
    began = time.perf_counter()
    pinned([str(Path(sys.executable).parent / "bastide"), "scan", "--json", str(capture)])
    return time.perf_counter() - began


def tshark(capture: Path, packets: int) -> float | None:
    """Packets a second of tshark with a few fields; start-up (one packet) is taken off."""
    program = shutil.which("tshark")
    if program is None:
        return None
    fields = ["-n", "-T", "fields", "-e", "ip.src", "-e", "ip.dst", "-e", "_ws.col.Protocol", "-e", "frame.len"]

    def once(*more: str) -> float:
        began = time.perf_counter()
        pinned([program, "-r", str(capture), *fields, *more])
        return time.perf_counter() - began

    return packets / (once() - once("-c", "1"))


def nfstream(capture: Path, _: int) -> float | None:
    """Packets a second of nfstream with statistics and dissection, as it measures itself."""
    environment = CACHE / "nfstream"
    python = environment / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", "nfstream"], check=True, capture_output=True)
        packets, seconds = pinned([str(python), "-c", _NFSTREAM, str(capture)], timeout=900).stdout.split()[-2:]
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or error
        print(f"nfstream could not be run here: {str(said).strip().splitlines()[-1][:200]}")
        return None
    return int(packets) / float(seconds)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--packets", type=int, default=2_000_000)
    options.add_argument("--peer-packets", type=int, default=400_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--skip-nfstream", action="store_true")
    given = options.parse_args()
    if given.quick:
        given.packets, given.peer_packets, given.rounds = 500_000, 100_000, 1
    print(facts("numba", "numpy"))
    with tempfile.TemporaryDirectory(prefix="bastide-bench-") as folder:
        large, small = Path(folder) / "large.pcap", Path(folder) / "small.pcap"
        packets, few = make(large, given.packets), make(small, given.peer_packets)
        size = large.stat().st_size / 1e6
        print(f"input: {packets:,} packets, {size:,.0f} MB; peers read {few:,} packets of the same kind; one core each")
        ours(small, 1, few)  # compiles, or loads what was compiled
        peers = {"tshark -T fields": tshark} | (
            {} if given.skip_nfstream else {"nfstream, statistics and dissection": nfstream}
        )
        rates: dict[str, list[float]] = {}
        ratios: dict[str, list[float]] = {}
        memory: dict[str, int] = {}
        for _ in range(given.rounds):  # in turn, so that a machine that changes its pace does so for all
            for name, deep in (("fast path", 0), ("full scan", 1)):
                rate, memory[name] = ours(large, deep, packets)
                rates.setdefault(name, []).append(rate)
            for name, measure in peers.items():
                rate_or_none = measure(small, few)
                if rate_or_none is None:
                    continue
                rates.setdefault(name, []).append(rate_or_none)
                for path in ("fast path", "full scan"):
                    ratios.setdefault(f"{path} / {name}", []).append(rates[path][-1] / rate_or_none)
        seconds = command_line(large)
        for name, told in rates.items():
            peak = f", peak {memory[name]} MiB" if name in memory else ""
            print(f"{name + ':':<40} {median(told):>12,.0f} packets/s ({min(told):,.0f} to {max(told):,.0f}){peak}")
        print(f"{'`bastide scan --json`, whole process:':<40} {packets / seconds:>12,.0f} packets/s ({seconds:.2f} s)")
        for name, told in ratios.items():
            print(f"{name + ':':<60} {median(told):.1f} times ({min(told):.1f} to {max(told):.1f})")
    print(json.dumps({name: round(median(told), 1) for name, told in (rates | ratios).items()}))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"largest process of the run: {children} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
