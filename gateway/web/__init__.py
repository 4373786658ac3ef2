"""The local HTTP interface: what devices post, and a status page; nothing else of the gateway imports it."""

from gateway.web.api import create
from gateway.web.server import bind, serve

__all__ = ["bind", "create", "serve"]
