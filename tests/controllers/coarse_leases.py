"""Runs the webhook of docs/examples/coarse-leases, and renders its chart."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import ssl
import sys
from asyncio.subprocess import create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from tests.docs.markdown import DOCS
from tests.support.tls import CERTIFICATES
from tests.support.waiting import until

EXAMPLE = DOCS / "examples" / "coarse-leases"
CHART = EXAMPLE / "chart"
NAMESPACE = "leases"


def helm() -> str | None:
    """Returns the path of Helm; None if it is not installed."""
    return os.environ.get("KINFORM_HELM") or shutil.which("helm")


def render(template: str) -> list[dict[str, Any]]:
    """Returns the objects of a template of the chart with its default values.

    It knows the few expressions that the chart uses. A test compares its result with that of Helm.
    """
    values = {"Values": yaml.safe_load((CHART / "values.yaml").read_text()), "Release": {"Namespace": NAMESPACE}}

    def value(found: re.Match[str]) -> str:
        at: Any = values
        for name in found["path"].split("."):
            at = at[name]
        return f'"{at}"' if found["quote"] else str(at)

    text = re.sub(r"\{\{-? (if .+|end) \}\}\n?", "", (CHART / "templates" / template).read_text())
    text = re.sub(r"\{\{ \.(?P<path>[\w.]+)(?P<quote> \| quote)? \}\}", value, text)
    assert "{{" not in text
    return list(yaml.safe_load_all(text))


def configuration(port: int) -> dict[str, Any]:
    """Returns the configuration of the chart, for a webhook on this machine."""
    (found,) = render("webhook.yaml")
    authority = base64.b64encode((CERTIFICATES / "ca.pem").read_bytes()).decode()
    for webhook in found["webhooks"]:
        webhook["clientConfig"] = {"url": f"https://127.0.0.1:{port}/mutate", "caBundle": authority}
    return dict(found)


class Webhook:
    """A process of the webhook, on a port that it keeps when it is started again."""

    def __init__(self, renewal: float) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        pem = str(CERTIFICATES / "server.pem")
        own = {"RENEWAL_SECONDS": str(renewal), "PORT": str(self.port), "TLS_CERT": pem, "TLS_KEY": pem}
        self._environment = {**os.environ, **own}
        self._process: Any = None

    async def start(self) -> None:
        """Starts it, and returns when its probe answers."""
        program = str(EXAMPLE / "webhook.py")
        self._process = await create_subprocess_exec(sys.executable, program, env=self._environment)
        await until(self._ready, within=30)

    async def stop(self) -> int:
        """Sends SIGTERM, and returns the exit status."""
        self._process.terminate()
        code: int = await self._process.wait()
        return code

    def kill(self) -> None:
        """Sends SIGKILL, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem"))
        try:
            with urlopen(f"https://127.0.0.1:{self.port}/healthz", timeout=5, context=context) as response:
                return bool(response.status == 200)
        except (URLError, ConnectionError):
            return False


@asynccontextmanager
async def webhook(renewal: float) -> AsyncIterator[Webhook]:
    """Runs the webhook in the block."""
    found = Webhook(renewal)
    await found.start()
    try:
        yield found
    finally:
        found.kill()


def defragment() -> Path:
    """Returns the path of the script."""
    return EXAMPLE / "defragment"
