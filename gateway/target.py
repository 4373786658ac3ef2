"""From an uplink's configuration to where and how to connect: URL, identity, TLS. Made anew for each attempt."""

import ssl

from gateway.clock import Clock
from gateway.config import UplinkConfig
from gateway.errors import LinkRefused, Text
from gateway.mqtt import Target
from gateway.tls import by_what_is_certain

LARGEST_BYTES = 2**20  # of one message from the platform: a pushed configuration fits, a flood does not fill the memory


def target(name: str, gateway: str, config: UplinkConfig, clock: Clock, protocol: str) -> Target:
    """Where this uplink goes. LinkRefused: its certificate files cannot be used."""
    where = config.endpoint
    return Target(
        host=where.host,
        port=where.port,
        client_id=config.client_id or f"{gateway}-{name}",
        protocol=protocol,
        websocket=where.scheme in ("ws", "wss"),
        path=where.path,
        tls=_tls(name, config, clock) if where.secure else None,
        username=config.username,
        password=None if config.password is None else config.password.get_secret_value(),
        keepalive_s=max(1, int(config.keepalive / 2)),  # paho notices a dead link after twice its keepalive
        largest_bytes=LARGEST_BYTES,
    )


def _tls(name: str, config: UplinkConfig, clock: Clock) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and name always checked; dates as far as the clock allows."""
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=None if tls is None or tls.ca is None else str(tls.ca))
        if tls is not None and tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key, password=_nobody_to_ask)
    except (OSError, ssl.SSLError) as error:
        raise LinkRefused(
            f"uplinks.{name}.tls",
            Text(f"the certificate files cannot be used: {error}", f"证书文件无法使用:{error}"),
            Text("check tls.ca, tls.cert and tls.key", "请检查 tls.ca、tls.cert 和 tls.key"),
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    by_what_is_certain(context, clock)
    return context


def _nobody_to_ask() -> str:
    """Called for a key with a password; OpenSSL would ask on the terminal, and the daemon would stand still."""
    raise ssl.SSLError("the key has a password: store it without one (openssl pkey -in gw.key -out gw.key)")
