"""Slips in a kubeconfig: an error of kinform, and no secret in errors and logs."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kinform import KinformError, connect
from tests.support.kubeconfig import write_contexts

SECRET = "hunter2"
TOKEN = {"token": SECRET, "password": SECRET, "client-key-data": SECRET, "client-certificate-data": SECRET}
PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "/bin/false",
    "args": [SECRET],
    "env": [{"name": "A", "value": SECRET}],
}
OIDC = {"id-token": SECRET, "refresh-token": SECRET, "client-secret": SECRET, "idp-issuer-url": "https://127.0.0.1:1"}
GCP = {"access-token": SECRET, "expiry": "2020-01-01T00:00:00Z", "cmd-path": "/bin/false", "cmd-args": SECRET}
USERS: dict[str, dict[str, Any]] = {
    "a token": TOKEN,
    "a plugin": {"exec": PLUGIN, "token": SECRET},
    "oidc": {"auth-provider": {"name": "oidc", "config": OIDC}},
    "gcp": {"auth-provider": {"name": "gcp", "config": GCP}},
    "a provider and a plugin": {"auth-provider": {"name": "oidc"}, "exec": PLUGIN, "username": SECRET},
    "impersonation": {"as": "jane", "as-groups": ["a"], "as-user-extra": {"scope": [SECRET]}, "token": SECRET},
}
SLIPS = (None, [], {}, "", 7, [None], {"name": None}, [{"name": None, "value": SECRET}], {"a": SECRET}, [SECRET])


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of each value inside a value, and of itself."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


def with_slip(value: Any, path: tuple[Any, ...], slip: Any) -> Any:
    """Returns a copy with another value at a path."""
    if not path:
        return slip
    made = copy.deepcopy(value)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = slip
    return made


def shown(error: BaseException | None) -> Iterator[str]:
    """Yields all texts of an error, of its causes and of its contexts."""
    if error is not None:
        yield from (str(error), repr(error), repr(error.args), type(error).__name__)
        yield from shown(error.__cause__)
        yield from shown(error.__context__)


@pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")  # of kubernetes_asyncio
@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
async def test_a_slip_shows_no_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture, user: dict[str, Any]) -> None:
    caplog.set_level(logging.DEBUG)
    url = "https://127.0.0.1:1" if user is TOKEN else "http://127.0.0.1:1"  # certificates take time to load
    refused = 0
    for path in paths(user):
        for slip in SLIPS:
            entry = {"name": "shop", "user": with_slip(user, path, slip)}
            file = write_contexts(tmp_path / "one", "shop", url=url, users=[entry])
            try:
                async with connect(file) as api:
                    texts = [repr(api)]
            except KinformError as error:
                refused += 1
                texts = list(shown(error))
            assert SECRET not in " ".join(texts), (path, slip)
            assert SECRET not in caplog.text, (path, slip)
            caplog.clear()
    assert refused


@pytest.mark.parametrize(
    "target",
    [
        f"https://user:{SECRET}@host:99999",
        f"https://user:{SECRET}@host",
        f"https://{SECRET}@host:x",
        f"https://host/?token={SECRET}",
        f"https://host/#{SECRET}",
        f"https://[{SECRET}@::1",
        f"ftp://user:{SECRET}@host",
    ],
)
def test_a_refused_url_shows_no_secret(target: str) -> None:
    with pytest.raises(KinformError) as caught:
        connect(target)
    assert SECRET not in " ".join(shown(caught.value))


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET} x", f"{SECRET}\u00e9", "", 7, [SECRET]])
def test_a_refused_token_is_not_shown(token: Any) -> None:
    with pytest.raises(KinformError) as caught:
        connect("https://127.0.0.1:1", token=token)
    assert SECRET not in " ".join(shown(caught.value))
