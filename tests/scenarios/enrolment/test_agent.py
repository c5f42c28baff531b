"""The agent against the real endpoints: by its maker's certificate, by a claim, by asking; renewing; whatever breaks."""

import asyncio
import json
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bastide.adapters.est.folder import IDENTITY, PENDING, IdentityFolder
from bastide.agent.hold import Agent, Means
from bastide.agent.wiring import certified
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceId
from bastide.flows.admissions import approve, open_window
from bastide.flows.claims import DEFAULT_TTL
from bastide.testing import FakeClock
from tests.domain.device.makers import Maker
from tests.scenarios.enrolment.platform import Platform, run
from tests.scenarios.enrolment.test_without_a_claim import named, saved

MOST_MEMORY_MIB = 64


def command(town: Platform, state: Path, *more: str | Path) -> list[str]:
    told = ["--url", town.base, "--trust", town.root, "--state", state, "--once", *more]
    return [sys.executable, "-m", "bastide.agent", *map(str, told)]


def an_agent(town: Platform, state: Path, means: Means) -> tuple[Agent, FakeClock, list[dict[str, str]]]:
    """In this process, on a clock that can be moved."""
    identity, server, real = certified(state, "localhost", town.port, town.root)
    clock, said = FakeClock(real.now()), list[dict[str, str]]()
    return Agent(identity, server, means, clock, lambda **told: said.append(told)), clock, said


async def claimed(town: Platform, folder: Path) -> Path:
    claim = await town.claim("camera")
    file = folder / "claim"
    file.write_text(f"{claim.claim.id}\n{claim.secret}\n")
    return file


async def test_it_enrols_with_a_claim_and_then_has_nothing_to_do(town: Platform, tmp_path: Path) -> None:
    asked = command(town, tmp_path / "state", "--claim-file", await claimed(town, tmp_path))
    status, out, said = await run(*asked)
    assert status == 0, said
    told = json.loads(out)
    assert told["act"] == "enrol"
    assert (tmp_path / "state" / IDENTITY).stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "state" / PENDING).exists()
    assert await run(*asked) == (0, b"", "")
    status, out, said = await run("openssl", "x509", "-in", tmp_path / "state" / IDENTITY, "-noout", "-subject")
    assert told["device"] in out.decode()


async def test_it_prefers_its_makers_certificate_and_renews_at_two_thirds(town: Platform, tmp_path: Path) -> None:
    maker = Maker()
    await named(town, maker)
    shown = saved(maker, tmp_path, "SN-1")
    agent, clock, said = an_agent(town, tmp_path / "state", Means(shown=shown, claim_file=tmp_path / "none"))
    await asyncio.to_thread(agent.step)
    device = said[-1]["device"]
    assert await asyncio.to_thread(agent.step) == timedelta(hours=1)
    clock.advance(timedelta(days=23))
    await asyncio.to_thread(agent.step)
    assert [one["act"] for one in said] == ["enrol", "renew"]
    assert said[-1]["device"] == device
    facts = await town.stores.evidence.recent(Subject(SubjectKind.DEVICE, DeviceId(device)), 10)
    assert {fact.kind for fact in facts} == {"identity.enrolled", "identity.renewed"}


async def test_it_asks_with_one_key_until_a_person_approves(town: Platform, tmp_path: Path) -> None:
    await open_window("lamp", "", "metz", DEFAULT_TTL, 5, "system:test", town.people)
    agent, _, said = an_agent(town, tmp_path / "state", Means())
    for _ in range(3):
        assert await asyncio.to_thread(agent.step) == timedelta(seconds=10)
    (asked,) = await town.stores.admissions.requests(10)
    await approve(asked.id, "system:test", town.people)
    await asyncio.to_thread(agent.step)
    assert [one.get("outcome", "done") for one in said] == ["later"] * 3 + ["done"]


async def test_what_is_refused_is_said_and_tried_again_ever_more_seldom(town: Platform, tmp_path: Path) -> None:
    agent, _, said = an_agent(town, tmp_path / "state", Means())
    waits = [(await asyncio.to_thread(agent.step)).total_seconds() for _ in range(4)]
    assert all(15 * 2**n <= wait <= 30 * 2**n for n, wait in enumerate(waits))
    assert {one["outcome"] for one in said} == {"refused"}
    assert "Enrolment needs a claim" in said[0]["what"]


async def test_its_key_is_kept_before_anybody_is_asked_and_a_torn_file_is_no_identity(
    town: Platform, tmp_path: Path
) -> None:
    folder = IdentityFolder(tmp_path / "state")
    folder.request("new device")
    key = (folder.path / PENDING).read_bytes()
    folder.request("new device")
    assert (folder.path / PENDING).read_bytes() == key
    agent, _, said = an_agent(town, folder.path, Means(claim_file=await claimed(town, tmp_path)))
    await asyncio.to_thread(agent.step)
    assert folder.file.read_bytes().startswith(key)
    folder.file.write_bytes(folder.file.read_bytes()[:100])
    assert folder.held() is None
    await asyncio.to_thread(agent.step)  # the claim was used, by a key that is gone
    assert "already used" in said[-1]["what"]


BROKEN: dict[str, Callable[[Path], list[str]]] = {
    "no trust": lambda folder: ["--trust", str(folder / "nothing.pem")],
    "no claim": lambda folder: ["--claim-file", str(folder / "nothing")],
    "nobody there": lambda folder: ["--url", "https://localhost:1"],
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_wrong_is_said_in_one_line(town: Platform, tmp_path: Path, case: str) -> None:
    status, out, said = await run(*command(town, tmp_path / "state"), *BROKEN[case](tmp_path))
    assert status == 1
    assert json.loads(out)["outcome"] in ("refused", "later")
    assert said == ""


async def test_it_is_small(town: Platform, tmp_path: Path) -> None:
    asked = command(town, tmp_path / "state", "--claim-file", await claimed(town, tmp_path))
    loaded = (
        "import sys; from bastide.agent.__main__ import main; status = main(sys.argv[1:]); print(*sys.modules); "
        "print(open('/proc/self/status').read()); sys.exit(status)"
    )
    status, out, said = await run(asked[0], "-c", loaded, *asked[3:])
    assert status == 0, said
    _, modules, state = out.decode().split("\n", 2)
    assert not {"numpy", "sqlalchemy", "fastapi", "nats", "duckdb", "typer"} & set(modules.split())
    (most,) = re.findall(r"VmHWM:\s+(\d+) kB", state)
    assert int(most) / 1024 < MOST_MEMORY_MIB
