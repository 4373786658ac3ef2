"""Where a hub's broker is and how to connect to it. (An underscore: no driver.)"""

import secrets
import ssl

from drivers._mqtt_config import Config
from gateway.clock import Clock
from gateway.driver import Link
from gateway.errors import Misconfigured, Text
from gateway.peer import Target
from gateway.tls import by_what_is_certain

UNANSWERED_MESSAGES = 1000  # what the broker may send before it has heard of the first (MQTT 5.0, 3.1.2.11.3)
LARGEST_BYTES = 8 * 2**20  # of a packet: an inventory of hundreds of devices
SESSION_S = 86400  # how long the broker keeps what comes while we are away
KEEPALIVE_S = 15


def target(config: Config, filters: tuple[str, ...], link: Link, protocol: str) -> Target:
    """Made anew for each attempt. Misconfigured: its certificate files cannot be used."""
    host, port = config.endpoint
    return Target(
        host,
        port,
        config.client_id or _client_id(config.id, link),
        protocol=protocol,
        tls=_tls(config, link.clock) if config.secure else None,
        username=config.username,
        password=None if config.password is None else config.password.get_secret_value(),
        keepalive_s=KEEPALIVE_S,
        session_expiry_s=SESSION_S,
        subscribe=filters,
        retained_again=True,
        unanswered_messages=UNANSWERED_MESSAGES,
        largest_bytes=LARGEST_BYTES,
    )


def _client_id(hub: str, link: Link) -> str:
    """Made once: the broker knows our session by it."""
    name = f"mqtt-in-{hub}"
    kept = link.kept(name)
    if kept is None:
        kept = f"gateway-{secrets.token_hex(7)}".encode()  # 3.1.1 promises 23 characters (3.1.3.1)
        link.keep(name, kept)
    return kept.decode()


def _tls(config: Config, clock: Clock) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name always checked; dates as far as the clock allows."""
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=None if tls is None or tls.ca is None else str(tls.ca))
        if tls is not None and tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key, password=_nobody_to_ask)
    except (OSError, ssl.SSLError) as error:
        what = Text(f"the certificate files cannot be used: {error}", f"证书文件无法使用:{error}")
        raise Misconfigured(config.id, what, Text("check tls:", "请检查 tls:")) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    by_what_is_certain(context, clock)
    return context


def _nobody_to_ask() -> str:
    """Called for a key with a password; OpenSSL would ask on the terminal."""
    raise ssl.SSLError("the key has a password: store it without one")
