"""The local HTTP interface: the page, what devices post, what programs ask; nothing else of the gateway imports it."""

from gateway.web.api import create
from gateway.web.server import bind, serve

__all__ = ["bind", "create", "serve"]
