"""The options that name a cluster, and their check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--kubeconfig`, `--context` and `--server` to a command."""
    for option in reversed(
        (
            click.option(
                "--kubeconfig",
                metavar="PATH",
                help="Default: $KUBECONFIG, ~/.kube/config, or the pod's service account.",
            ),
            click.option("--context", metavar="NAME", help="Context in the kubeconfig. Default: the current context."),
            click.option(
                "-s",
                "--server",
                metavar="URL",
                help="API server to use without credentials, instead of a kubeconfig.",
            ),
        )
    ):
        command = option(command)
    return command


def check_target(kubeconfig: str | None, context: str | None, server: str | None) -> str | None:
    """Returns the target for `kinform.connect`.

    Raises:
        UsageError: Two options exclude each other, or the server is not a URL.
    """
    for flag, given in (("--kubeconfig", kubeconfig), ("--context", context)):
        if given and server:
            raise click.UsageError(f"{flag} and --server cannot be used together")
    if server and "://" not in server:
        raise click.BadParameter(f"{server!r} is not a URL: expected http://... or https://...", param_hint="--server")
    return server or kubeconfig
