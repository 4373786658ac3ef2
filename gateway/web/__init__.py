"""The local HTTP interface: what devices post, and a status page; nothing else of the gateway imports it."""

from gateway.web.api import House, create
from gateway.web.server import bind, serve

__all__ = ["House", "bind", "create", "serve"]
