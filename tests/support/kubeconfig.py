"""Kubeconfigs for tests, written as JSON, which is YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_kubeconfig(path: Path, url: str, ca: Path | None, tokens: Mapping[str, str]) -> None:
    """Writes a kubeconfig of one cluster with a context for each user.

    Context and user have the same name. The first user's context is current. One more context,
    `anonymous`, has no credentials.
    """
    cluster = {"server": url, **({"certificate-authority": str(ca)} if ca else {})}
    users: dict[str, dict[str, str]] = {user: {"token": token} for user, token in tokens.items()}
    users["anonymous"] = {}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": credentials} for user, credentials in users.items()],
        "contexts": [{"name": user, "context": {"cluster": "test", "user": user}} for user in users],
        "current-context": next(iter(users)),
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))


def write_contexts(
    path: Path, *contexts: str, url: str = "http://127.0.0.1:1", user: Any = None, **fields: object
) -> Path:
    """Writes a kubeconfig in which each context has a cluster and a user of its own.

    Args:
        path: The file.
        contexts: The names of contexts, clusters and users. The first context is current.
        url: The server of all clusters; the name is appended as a path prefix.
        user: The credentials of every user; by default a token, `token-of-NAME`.
        fields: Replace top-level fields of the kubeconfig.

    Returns:
        The path.
    """
    config = {
        "current-context": contexts[0],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
        "clusters": [{"name": name, "cluster": {"server": f"{url}/{name}"}} for name in contexts],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}} for name in contexts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config | fields))
    return path
