"""docs/enrolment.md, run as it is written."""

import re
import shutil
from pathlib import Path

import pytest

from bastide.core.ids import is_device_id
from tests.peers import require
from tests.scenarios.enrolment.platform import Platform, run

PAGE = Path(__file__).resolve().parents[3] / "docs" / "enrolment.md"


def commands(heading: str) -> str:
    """The shell commands below a heading of the page."""
    section = PAGE.read_text().split(f"\n## {heading}")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


@pytest.mark.parametrize("heading", ["2a. With strongSwan", "2b. With curl and openssl"])
async def test_the_page_enrols_and_renews_a_device(town: Platform, tmp_path: Path, heading: str) -> None:
    require("pki"), require("curl"), require("openssl")
    for name in ("root.pem", "issuing.pem"):
        shutil.copy(town.data / "trust" / name, tmp_path / name)
    claim = await town.claim()

    async def follow(script: str, device: str = "DEVICE") -> None:
        for word, value in (
            ("https://localhost:9443", town.base), ("USERNAME", claim.claim.id), ("PASSWORD", claim.secret),
            ("DEVICE", device),
        ):  # fmt: skip
            script = script.replace(word, value)
        status, out, said = await run("bash", "-euo", "pipefail", "-c", script, cwd=tmp_path)
        assert status == 0, out.decode() + said

    async def device_in(file: str) -> str:
        _, out, _ = await run("openssl", "x509", "-in", tmp_path / file, "-noout", "-subject")
        return out.decode().strip().removeprefix("subject=CN = ")

    await follow(commands(heading))
    device = await device_in("cert.pem")
    assert is_device_id(device)
    await follow(commands("3. Renew"), device)
    assert await device_in("new-cert.pem") == device
    assert (tmp_path / "new-cert.pem").read_text() != (tmp_path / "cert.pem").read_text()
