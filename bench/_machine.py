"""What a figure was measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def facts(*packages: str) -> str:
    """One line: processor, cores, memory, kernel, Python and the versions of the named packages."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    named = "".join(f", {package} {version(package)}" for package in packages)
    return (
        f"machine: {model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}{named}"
    )
