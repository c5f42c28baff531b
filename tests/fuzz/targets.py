"""Every fuzz target: each module of tests/fuzz that has ``TARGETS``."""

import pkgutil
from importlib import import_module

import tests.fuzz
from tests.fuzz import Target


def targets() -> tuple[Target, ...]:
    """All targets, by name."""
    found: dict[str, Target] = {}
    for module in pkgutil.iter_modules(tests.fuzz.__path__, "tests.fuzz."):
        if module.name.rsplit(".", 1)[1] in ("targets", "__main__") or ".test_" in module.name:
            continue
        for target in getattr(import_module(module.name), "TARGETS", ()):
            if target.name in found:
                raise ValueError(f"two fuzz targets are named {target.name}")
            found[target.name] = target
    return tuple(found[name] for name in sorted(found))
