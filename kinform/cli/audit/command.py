"""`kinform audit`: shows what watchers, namespaces and leases of a cluster cost.

Only reads. Prints sizes, counts and names, but never contents of objects.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from kinform._errors import KinformError
from kinform.cli._exit_codes import DENIED, OUTPUT, Failure, failure

if TYPE_CHECKING:
    from kinform.cli.audit.report import Report


@click.command("audit", short_help="Show what watchers, namespaces and leases cost in a cluster.")
@click.option(
    "--kubeconfig", metavar="PATH", help="Default: $KUBECONFIG, ~/.kube/config, or the pod's service account."
)
@click.option("--context", metavar="NAME", help="Context in the kubeconfig. Default: the current context.")
@click.option("-s", "--server", metavar="URL", help="API server to use without credentials, instead of a kubeconfig.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the report as one HTML page. An existing file is not overwritten.",
)
@click.option(
    "--lease-seconds",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="Count the renewals of leases for this time. 0: do not count them.",
)
def command(
    kubeconfig: str | None,
    context: str | None,
    server: str | None,
    *,
    as_json: bool,
    html: Path | None,
    lease_seconds: float,
) -> int:
    """Read a cluster once, and show what its watchers, namespaces and leases cost.

    Lists all resources page by page, one after the other: objects and bytes of each, and how they grow. Estimates the
    memory of a copy in several clients. Finds the workloads that may watch all namespaces, long conditions arrays, and
    the leases that are renewed most often. Without a permission, the part that needs it is missing, and the report says
    so. Only reads, and never prints contents of objects.
    """
    for flag, given in (("--kubeconfig", kubeconfig), ("--context", context)):
        if given and server:
            raise click.UsageError(f"{flag} and --server cannot be used together")
    if server and "://" not in server:
        raise click.BadParameter(f"{server!r} is not a URL: expected http://... or https://...", param_hint="--server")
    if html is not None and (html.exists() or not html.parent.is_dir()):
        problem = "exists: expected a new file" if html.exists() else "expected a new file in an existing folder"
        raise click.BadParameter(f"{str(html)!r}: {problem}", param_hint="--html")
    try:
        report = asyncio.run(_survey(server or kubeconfig, context, lease_seconds))
    except KinformError as error:
        raise failure(error) from None
    if not report.collections and report.unseen:
        raise Failure(f"nothing can be read: {report.unseen[0].why}", DENIED)
    if html is not None:
        _write(html, report)
    if as_json:
        click.echo(msgspec.json.encode(report))
    elif html is None or sys.stdout.isatty():
        from kinform.cli.audit.terminal import print_report

        print_report(report)
    return 0


async def _survey(target: str | None, context: str | None, lease_seconds: float) -> Report:
    from kinform import connect
    from kinform.cli.audit.survey import Survey

    async with connect(target, context=context) as api:
        with _Progress() as progress:
            survey = Survey(
                api, cluster=context or target or "cluster", lease_seconds=lease_seconds, on_progress=progress
            )
            return await survey.run()


def _write(path: Path, report: Report) -> None:
    from kinform.cli.audit.page import render

    try:
        # The names in it are those of the cluster: only its owner may read it.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(render(report))
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", OUTPUT) from None


class _Progress:
    """Shows on standard error what is read: a line in a terminal, nothing in a pipe."""

    def __init__(self) -> None:
        self._status = None
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console

            self._status = Console(stderr=True).status("connecting")

    def __enter__(self) -> _Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, what: str, objects: int) -> None:
        if self._status is not None:
            self._status.update(f"{what}; {objects:,} objects so far")
