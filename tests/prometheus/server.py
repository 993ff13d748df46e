"""A real Prometheus that scrapes a port of this machine each second.

The binary is `prometheus` on the PATH, or KINFORM_PROMETHEUS in the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.support.waiting import until

SECONDS = 30


def binary() -> str | None:
    """Returns the path of Prometheus; None if it is not installed."""
    return os.environ.get("KINFORM_PROMETHEUS") or shutil.which("prometheus")


class Prometheus:
    """A running Prometheus.

    Args:
        url: The address of its API.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series of an instant query.

        Raises:
            HTTPError: The expression is not valid.
        """
        data = await self._get("query", query=expression)
        assert not data.get("warnings"), data
        found: list[dict[str, Any]] = data["data"]["result"]
        return found

    async def firing(self) -> set[tuple[str, str]]:
        """Returns the alerts that fire: the name of the alert, and that of the informer."""
        labels = [
            alert["labels"] for alert in (await self._get("alerts"))["data"]["alerts"] if alert["state"] == "firing"
        ]
        return {(each["alertname"], each["informer"]) for each in labels}

    async def ready(self) -> bool:
        """Returns whether it answers."""
        try:
            await self.query("vector(1)")
        except OSError:
            return False
        return True

    async def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        def get() -> dict[str, Any]:
            with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=SECONDS) as response:
                found: dict[str, Any] = json.load(response)
                return found

        return await asyncio.to_thread(get)


@asynccontextmanager
async def prometheus(port: int, rules: Mapping[str, Any], folder: Path) -> AsyncIterator[Prometheus]:
    """Starts a Prometheus, and stops it at the end of the block.

    Args:
        port: The port to scrape.
        rules: The content of its rule file.
        folder: Takes its files.
    """
    path = binary()
    assert path is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    (folder / "rules.yaml").write_text(yaml.safe_dump(dict(rules)))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [{"job_name": "kinform", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            path,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{own}",
            stdout=log,
            stderr=log,
        )
    server = Prometheus(f"http://127.0.0.1:{own}")
    try:
        await until(server.ready, within=SECONDS)
        yield server
    finally:
        process.terminate()
        await process.wait()
