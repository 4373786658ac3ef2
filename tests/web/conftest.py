"""What the browser tests share: one chromium for all of them, one estate for each file; they live in one event loop."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browsers import chromium
from tests.estates import Estate, estate
from tests.web.desk import calm, settle_in


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's chromium."""
    async with chromium() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    """An estate with people in it, where all is well at the start of each test."""
    async with estate(tmp_path_factory.mktemp("estate")) as made:
        await settle_in(made)
        yield made


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def calm_again(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """What one test began is over before the next; a file with a day of its own (`busy`) keeps it."""
    yield
    if "here" in request.fixturenames and "busy" not in request.fixturenames:
        await calm(request.getfixturevalue("here"))
