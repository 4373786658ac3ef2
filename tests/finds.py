"""Searches carried out: to their end, or left as soon as enough was found."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from gateway.driver import Found, Search, registry
from gateway.fields import DeviceConfig
from tests.brokers import WAIT_S


def opened(search: Search) -> AsyncGenerator[Found | None, None]:
    """Its run, which can be left."""
    return cast(AsyncGenerator[Found | None, None], search.run())


async def until(search: Search, count: int) -> list[Found]:
    """The first so many; then the search is left."""
    found: list[Found] = []
    async with asyncio.timeout(WAIT_S), aclosing(opened(search)) as run:
        async for each in run:
            found += [each] if each is not None else []
            if len(found) >= count:
                break
    return found


async def whole(search: Search) -> list[Found]:
    """All that it finds; and it has as many steps as it said."""
    async with asyncio.timeout(WAIT_S), aclosing(opened(search)) as run:
        told = [each async for each in run]
    assert told.count(None) == search.steps
    return [each for each in told if each is not None]


def validated(found: Found, **filled_in: Any) -> DeviceConfig:
    """Its keys as gateway.yaml would have them, with what the installer adds."""
    keys = {"id": "found-1", "place": "gate", **found.device, **filled_in}
    model = registry()[found.device["driver"]].Config
    made: DeviceConfig = model.model_validate(keys)
    return made
