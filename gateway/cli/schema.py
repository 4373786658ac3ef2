"""What the gateway speaks: JSON Schema of gateway.yaml and of events, AsyncAPI of the topics, OpenAPI of the page."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from gateway.cli import show
from gateway.cli.where import loaded

SiteOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--config", "-c", metavar="FILE", help="With this site's own topics and brokers."),
]


def config() -> None:
    """Print the JSON Schema of gateway.yaml.

    With the keys of every driver there is.
    """
    from gateway.config import Config
    from gateway.driver import registry
    from gateway.schemas import json_schema_config

    show.document(json_schema_config(Config, registry()))


def events() -> None:
    """Print the JSON Schema of the events that go up."""
    from gateway.schemas import json_schema_events

    show.document(json_schema_events())


def asyncapi(site: SiteOption = None) -> None:
    """Print the AsyncAPI 3.0 document of the topics.

    Every topic, its messages, its quality of service.
    """
    from gateway.asyncapi import document, place_of

    show.document(document(place_of(loaded(site)[0].config) if site is not None else None))


def openapi() -> None:
    """Print the OpenAPI document of the local HTTP interface.

    The same as the gateway serves at /openapi.json.
    """
    from gateway.web.api import described

    show.document(described())
