"""The fixtures of the tests of the drop-in Watch.

client      a client library; the test runs for each one, and is skipped for one that is not installed
Watch       the Watch of that client, then that of kinform: the same test, on both
SyncWatch   the Watch of the synchronous client, then that of kinform
"""

from __future__ import annotations

from typing import Any

import pytest

import kinform.sync.watch
import kinform.watch
from kinform._watch import recovery
from tests.watch.clients import ASYNC_CLIENTS, SYNC_CLIENT, Client


@pytest.fixture(params=ASYNC_CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    pytest.importorskip(request.param.name)
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["original", "kinform"])
def Watch(request: pytest.FixtureRequest, client: Client) -> Any:
    return client.original if request.param == "original" else kinform.watch.Watch


@pytest.fixture(params=["original", "kinform"])
def SyncWatch(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip("kubernetes")
    return SYNC_CLIENT.original if request.param == "original" else kinform.sync.watch.Watch


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the waits between requests. `test_pacing` overrides it."""
    monkeypatch.setattr(recovery, "MIN_INTERVAL", 0.001)
    monkeypatch.setattr(recovery, "MAX_INTERVAL", 0.001)
