"""``python -m bastide.gateway``: the gateway. With ``load``: rules as last planned, and nothing else. With ``join SERVER
ROOT.PEM USER`` and a claim's password on the standard input: the first step.
"""

import logging
import sys
from pathlib import Path

from pydantic import ValidationError

from bastide.core.error import BastideError
from bastide.gateway import wiring
from bastide.gateway.config import GatewayConfig
from bastide.gateway.join import join


def main(arguments: list[str]) -> int:
    """Status 0; 2 where it cannot run, with one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        config = GatewayConfig()
        match arguments:
            case []:
                wiring.supervise(config)
            case ["load"]:
                held = wiring.load(config)
                print(
                    f"{held} things loaded."
                    if held
                    else "No plan is held: everything from the device ports is dropped."
                )
            case ["join", server, trust, username]:
                password = sys.stdin.readline().strip()
                name, broker = join(server, Path(trust), username, password, config.identity, config.rules)
                print(f"This gateway is {name}. Its plans come from {broker}: set BASTIDE_GATEWAY_NATS to that.")
            case ["keeper"]:
                wiring.run_keeper(config, wiring.inherited())
            case ["link"]:
                wiring.run_link(config, wiring.inherited())
            case _:
                print("usage: python -m bastide.gateway [load | join SERVER ROOT.PEM USER]", file=sys.stderr)
                return 2
    except BastideError as error:
        return wiring.report(error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"]).upper()
        print(f"bastide gateway: the setting BASTIDE_GATEWAY_{where} cannot be used: {first['msg']}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
