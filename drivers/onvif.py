"""ONVIF cameras, recorders and intercoms: events by a pull point, pictures, relay outputs.

SOAP 1.2 over HTTP (ONVIF core specification, 5 and 9; WS-BaseNotification 1.3; WS-Addressing 1.0), login by
WS-UsernameToken 1.0 with a digest by the device's clock, by HTTP digest, or both. One subscription per device, short,
renewed, given back at the end. What is true when it begins (`Initialized`) is a state: raised only if it is not open.
Topics stand as a table; what is in no row goes through as `device.unmapped` with its numbers.

The packages it needs come on demand (`_onvif_library`). Base notification, where the camera calls us, is not spoken.

Parts: `_onvif_config`, `_onvif_library` requests, `_onvif_soap` questions and answers, `_onvif_topics` and
`_onvif_notes` what is told, `_onvif_states` what of it is new, `_onvif_desk` one device, `_onvif_station` what it
consists of, `_onvif_pull` its subscription, `_onvif_orders` commands.
"""

from drivers._http import session
from drivers._onvif_config import Config as Config
from drivers._onvif_desk import Desk
from drivers._onvif_examples import EXAMPLES
from drivers._onvif_library import prepare
from drivers._onvif_notes import decode as decode
from drivers._onvif_orders import ACTIONS, Orders
from drivers._onvif_pull import MOST_PAUSES, Pull
from drivers._onvif_soap import Wire
from drivers._onvif_station import Station
from gateway.driver import Driver, Line, Link, Proof

QUIET_S = 120.0  # beyond a question for news and a pause: login, services and subscription have no end of their own


async def run(line: Line[Config], link: Link) -> None:
    """Follows one device for ever. Misconfigured: the packages are missing; Unreachable, NeedsPerson: told first."""
    (config,) = line.devices
    await prepare(config.id, link.clock)
    async with session(config.site, link.clock) as http:
        station = Station(config, Wire(config, http, link.clock))
        with link.handle(config.id, ACTIONS, Orders(station, http, link.clock).command):
            await Pull(station, Desk(config, link), link).run()


def quiet_s(line: Line[Config]) -> float:
    """The longest a healthy run leaves its link alone."""
    (config,) = line.devices
    return QUIET_S + max(config.pull, config.retry * MOST_PAUSES) + 12 * config.answer_within


DRIVER = Driver(
    "ONVIF: cameras, recorders, intercoms by their pull point",
    Config,
    run,
    decode,
    EXAMPLES,
    kind="camera",
    actions=ACTIONS,
    quiet_s=quiet_s,
    proof=Proof(
        "ONVIF core (5 security, 9 events), media, device I/O; WS-BaseNotification 1.3; WS-UsernameToken 1.0",
        {
            "onvif-zeep-async's client: our camera serves it, each request is word for word its own": (
                "tests/contract/test_onvif_peer.py"
            ),
            "tshark's dissectors: HTTP, XML": "tests/contract/test_onvif_peer.py",
        },
        "every camera; vendors' topics and quirks are those that client libraries and their users report",
    ),
)
