"""The demo: simulated devices on real wires, the daemon, a broker, and what the district sees."""

import asyncio
import sys

from gateway.errors import GatewayError


def main(once: bool, language: str) -> int:
    """Runs until Ctrl-C, or with `once` to the end of the story; 0 when nothing was missing."""
    from gateway.demo.show import show

    try:
        return asyncio.run(show(once=once, language=language))
    except KeyboardInterrupt:
        return 0
    except GatewayError as error:
        sys.stderr.write(error.say(language) + "\n")
        return 1
