"""`kinform audit`: shows what watchers, namespaces and leases of a cluster cost.

Only reads. Prints sizes, counts and names, but never contents of objects.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kinform._errors import KinformError
from kinform.cli._exit_codes import DENIED, Failure, failure
from kinform.cli._report.output import output_options, write_report
from kinform.cli._target import check_target, target_options

if TYPE_CHECKING:
    from kinform.cli.audit.report import Report


@click.command("audit", short_help="Show what watchers, namespaces and leases cost in a cluster.")
@target_options
@output_options
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
    target = check_target(kubeconfig, context, server)
    try:
        report = asyncio.run(_survey(target, context, lease_seconds))
    except KinformError as error:
        raise failure(error) from None
    if not report.collections and report.unseen:
        raise Failure(f"nothing can be read: {report.unseen[0].why}", DENIED)
    from kinform.cli.audit.sections import document

    write_report(report, document, as_json=as_json, html=html)
    return 0


async def _survey(target: str | None, context: str | None, lease_seconds: float) -> Report:
    from kinform import connect
    from kinform.cli._report.activity import Activity
    from kinform.cli.audit.survey import Survey

    async with connect(target, context=context) as api:
        with Activity() as activity:
            survey = Survey(
                api,
                cluster=context or target or "cluster",
                lease_seconds=lease_seconds,
                on_progress=lambda what, objects: activity(f"{what}; {objects:,} objects so far"),
            )
            return await survey.run()
