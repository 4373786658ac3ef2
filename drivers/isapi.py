"""Hikvision ISAPI: cameras, recorders, door controllers and face terminals, by their alert stream or their pushes.

`GET /ISAPI/Event/notification/alertStream` answers an endless multipart/mixed of EventNotificationAlert in XML or
JSON (older firmware: `/Event/notification/alertStream`); with `listen:` the device posts the same to us instead
(`httpHosts`). No public edition of the protocol's document exists; what is read here is what pyHik, hikvision_next and
devices' own dumps agree on. Namespaces differ, any field may be missing. On the device: each event needs "Notify
surveillance centre" ticked, and the user the right to be notified.

What is not in the tables goes through as `device.unmapped` with its numbers and without personal fields. A recorder's
channels above 1 appear as parts (`channel-34`), a controller's doors above 1 too (`door-2`), unless `channel` or `door`
picks one of them for a device of its own. Faces are never kept.

Parts: `_isapi_config`, `_alert` documents, `_isapi_sightings` cameras' words, `_isapi_codes` and `_isapi_access` door
controllers' records, `_isapi_ledger` which of them were told, `_isapi_desk` one device, `_isapi_history` and
`_isapi_memory` the search for what is missing, `_isapi_stream`, `_isapi_push` and `_isapi_hosts` the two ways in,
`_isapi_orders` commands, `_http`, `_http_tls` and `_multipart` the wire.
"""

from drivers._http import session
from drivers._isapi_config import Config as Config
from drivers._isapi_desk import Desk
from drivers._isapi_examples import EXAMPLES
from drivers._isapi_memory import Memory
from drivers._isapi_orders import ACTIONS, Orders
from drivers._isapi_push import serve
from drivers._isapi_sightings import decode as decode
from drivers._isapi_stream import Stream
from gateway.driver import Driver, Line, Link, Proof

QUIET_S = 90.0  # beyond the silence that ends a stream: a login, or a search, has no end of its own


async def run(line: Line[Config], link: Link) -> None:
    """Follows one device's stream for ever; or serves the listener that several devices push to."""
    if line.devices[0].listen is not None:
        await serve(line, link)
        return
    (config,) = line.devices
    desk = Desk(config, link)
    desk.recall()
    async with session(config.site, link.clock) as http:
        with link.handle(config.id, ACTIONS, Orders(http, desk, link).command):
            await Stream(desk, Memory(config, http, desk, link.clock), http, link).run()


def quiet_s(line: Line[Config]) -> float:
    """The longest a healthy stream leaves its link alone."""
    return QUIET_S + max(config.silence + config.answer_within for config in line.devices)


DRIVER = Driver(
    "Hikvision ISAPI: cameras, door controllers, face terminals",
    Config,
    run,
    decode,
    EXAMPLES,
    kind="camera",
    actions=ACTIONS,
    quiet_s=quiet_s,
    proof=Proof(
        "no public edition: as pyHik, hikvision_next and devices' public dumps agree; SDK headers' numbers",
        {
            "notifications of public device dumps": "tests/unit/test_isapi.py",
            "tshark's dissectors: HTTP, multipart, XML": "tests/contract/test_dissected.py",
        },
        "every Hikvision device; QR (0x9C) and password (0xB5) passages and StreamingProxy have one source each",
    ),
)
