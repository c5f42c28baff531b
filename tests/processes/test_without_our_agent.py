"""docs/adding/a-device-without-our-agent.md, block by block, as it is written."""

import json
import re
import subprocess
from pathlib import Path

from tests.peers import require
from tests.processes.bastide import Bastide, until

PAGE = Path(__file__).parents[2] / "docs" / "adding" / "a-device-without-our-agent.md"
ORDER = ("before", "enrol", "speak", "renew", "ask", "speak")


def test_the_page_works_as_it_is_written(bastide: Bastide, home: Path) -> None:
    for program in ("curl", "openssl", "mosquitto_pub"):
        require(program)
    blocks = dict(re.findall(r"```sh (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert set(blocks) == set(ORDER)
    claim = json.loads(bastide.run("claim", "create", "--class", "generic", "--json").stdout)
    home.mkdir(exist_ok=True)
    (home / "root.pem").write_bytes((bastide.data / "trust" / "root.pem").read_bytes())
    here = f"""
        EST=https://localhost:{bastide.ports["device_port"]}/.well-known/est
        MQTT_PORT={bastide.ports["mqtt_port"]}
        CLAIM_USER={claim["username"]} CLAIM_PASSWORD={claim["password"]}
        ISSUING={bastide.data}/trust/issuing.pem
    """
    script = "\n".join(["set -euo pipefail", blocks["before"], here, *(blocks[name] for name in ORDER[1:])])
    ran = subprocess.run(["bash", "-c", script], cwd=home, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    device, verified, allowed = ran.stdout.splitlines()
    assert verified == "next.pem: OK"
    assert json.loads(allowed) == {"device": device, "credential": "valid", "update": "normal"}

    def heard() -> bool:
        return json.loads(bastide.run("device", "show", device, "--json").stdout).get("last_seen") is not None

    assert until(heard, 20, 0.5), "what it said was taken"
