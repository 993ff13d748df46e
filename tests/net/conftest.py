"""The fixtures that tests of informers share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import kinform
from kinform._informer.healer import Healer
from kinform.testing import Server
from tests.net.informers import quick


@pytest.fixture
async def api(server: Server) -> AsyncIterator[kinform.Connection]:
    """A connection to the simulator."""
    async with kinform.connect(server.url) as api:
        yield api


@pytest.fixture
async def pods(server: Server) -> AsyncIterator[kinform.Informer]:
    """An informer on pods of the simulator that has not been started."""
    async with kinform.connect(server.url) as api:
        yield kinform.Informer(api, "v1/pods", options=quick())


@pytest.fixture
def unhealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Informers do not request skipped objects again."""
    monkeypatch.setattr(Healer, "update", lambda healer: None)
