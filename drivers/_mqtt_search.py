"""Hubs on a broker and the devices behind them, by listening. It publishes nothing. (An underscore: no driver.)

A session of its own, under a client id of its own, and a clean one: MQTT 3.1.1, where it ends with the connection
(3.1.2.4), so that the broker keeps nothing of it; and the daemon's session is not touched.
"""

import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial

from drivers._mqtt_broker import KEEPALIVE_S, LARGEST_BYTES
from drivers._mqtt_config import PORTS
from drivers._mqtt_signs import FILTERS, take
from drivers._mqtt_survey import Survey
from drivers._search_wait import heard, steps_of
from gateway.driver import Found, Search
from gateway.errors import LinkError, LinkRefused, NeedsPerson, Text, Unreachable
from gateway.mqtt import CONNACK_TIMEOUT_S, CONNECT_TIMEOUT_S, Session, Target

SETTLE_S = 0.2  # what the broker has retained comes at once, in several packets: told when there is quiet


def search(host: str, port: int, user: str | None, password: str | None, wait_s: float) -> Search:
    """Listens so long after connecting. Port 8883 is TLS, by the system's authorities.

    Its `run` raises Unreachable (no broker there, or the connection broke) and NeedsPerson (the broker refuses us).
    """
    target = partial(_target, host, port, user, password)
    survey = partial(Survey, host, port, user)
    connecting_s = CONNECT_TIMEOUT_S * (2 if port == PORTS["mqtts"] else 1) + CONNACK_TIMEOUT_S
    return Search(steps_of(wait_s), max(wait_s, connecting_s), lambda: _run(target(), survey(), wait_s))


def _target(host: str, port: int, user: str | None, password: str | None) -> Target:
    return Target(
        host,
        port,
        f"gateway-scan-{secrets.token_hex(5)}",  # 3.1.1 promises 23 characters (3.1.3.1)
        protocol="3.1.1",
        tls=ssl.create_default_context() if port == PORTS["mqtts"] else None,
        username=user,
        password=password,
        keepalive_s=KEEPALIVE_S,
        subscribe=FILTERS,
        largest_bytes=LARGEST_BYTES,
    )


async def _run(target: Target, survey: Survey, wait_s: float) -> AsyncIterator[Found | None]:
    try:
        async with Session(target, lambda *_: None) as session, aclosing(_listen(session, survey, wait_s)) as finds:
            async for found in finds:
                yield found
    except LinkRefused as error:
        raise NeedsPerson(error.where, error.what, error.do) from error
    except LinkError as error:
        raise Unreachable(error.where, error.what, error.do) from error


async def _listen(session: Session, survey: Survey, wait_s: float) -> AsyncGenerator[Found | None, None]:
    async with aclosing(heard(session.messages, wait_s, SETTLE_S)) as batches:
        async for batch in batches:
            for message in batch or ():
                take(survey, message.topic, message.payload)
                message.done()
            session.flush()
            for found in survey.news():
                yield found
            _still_there(session)
            if batch is None:
                yield None


def _still_there(session: Session) -> None:
    """LinkRefused: it lets us read nothing at all. LinkError: the connection broke."""
    where = session.target.name
    if session.lost.done():
        raise LinkError(where, session.lost.result(), Text("search again", "请重新查找"))
    if len(session.refusals) >= len(FILTERS):
        why = session.refusals[0]
        raise LinkRefused(
            where,
            Text(f"the broker refuses the subscription: {why}", f"服务器拒绝订阅:{why}"),
            Text("allow this user to read these topics", "请在服务器上允许该用户读取这些主题"),
        )
