"""`kinform demo`: compares kinform with a naive list-watch loop.

Parses the options and reports the result. `scenario` runs and measures, `table` displays.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
from contextlib import suppress
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

import kinform
from kinform.cli._exit_codes import DIFFERENT

if TYPE_CHECKING:
    from kinform.cli.demo.scenario import Plan, Scenario


@click.command("demo", short_help="Compare kinform with a naive list-watch loop: time, CPU, memory.")
@click.option(
    "--pods", type=click.IntRange(min=1), default=10_000, show_default=True, metavar="N", help="Pods to generate."
)
@click.option(
    "--namespaces",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Namespaces to generate.",
)
@click.option(
    "--updates",
    type=click.IntRange(min=1),
    default=5_000,
    show_default=True,
    metavar="N",
    help="Number of updates. Pods and namespaces get updates in proportion to their numbers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option(
    "--kubeconfig",
    metavar="PATH",
    help="Use the real cluster of this kubeconfig. The demo only reads from the cluster: an initial sync and a relist, "
    "without updates. Cannot be used together with --pods, --namespaces or --updates.",
)
@click.option("--context", metavar="NAME", help="Context in the kubeconfig. Default: the current context.")
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, kubeconfig: str | None, context: str | None, **sizes: int) -> int:
    """Compare kinform with a naive list-watch loop on one API server.

    Starts an API server with generated pods and namespaces. Two processes copy all objects. One runs a naive loop with
    kubernetes_asyncio: the loop lists and watches the objects, and keeps them in a dict. The other runs kinform. Both
    go through an initial sync, many updates, and a relist after 410. They take turns: only one of them works at a time,
    so that neither slows the other. At the end, the demo compares both copies with the server.

    With the default sizes, the demo takes about one minute on two idle cores. It needs 1.5 GiB of memory, most of it
    for the naive loop. It displays the number of the step, and the seconds that are left.

    Exits with 1 if a copy differs from the server.
    """
    from kinform.cli.demo.scenario import Plan

    if context is not None and kubeconfig is None:
        raise click.UsageError("--context requires --kubeconfig")
    if kubeconfig is not None:
        given = [name for name in sizes if ctx.get_parameter_source(name) != click.core.ParameterSource.DEFAULT]
        if given:
            raise click.UsageError(f"--{given[0]} and --kubeconfig cannot be used together: a cluster is only read")
        if not Path(kubeconfig).expanduser().is_file():
            raise click.BadParameter(f"no such file: {kubeconfig}", param_hint="--kubeconfig")
        kubeconfig = str(Path(kubeconfig).expanduser())
        sizes = dict.fromkeys(sizes, 0)
    plan = Plan(embedded=kubeconfig is None, kubeconfig=kubeconfig, context=context, **sizes)
    try:
        scenario = asyncio.run(_run(plan))
    except asyncio.CancelledError:  # by SIGTERM or SIGHUP; asyncio turns Ctrl-C into KeyboardInterrupt
        raise KeyboardInterrupt from None
    if as_json:
        click.echo(msgspec.json.encode(report(scenario)).decode())
    else:
        from rich.console import Console

        from kinform.cli.demo.table import result

        Console().print(result(scenario))
    for contestant in scenario.contestants:
        if contestant.agreement is not None and contestant.agreement.examples:
            examples = ", ".join(contestant.agreement.examples)
            click.echo(f"kinform: the copy of {contestant.name} differs from the server at {examples}", err=True)
    return 0 if _all_same(scenario) else DIFFERENT


async def _run(plan: Plan) -> Scenario:
    from kinform.cli._process_memory import Gauge, or_none
    from kinform.cli.demo.scenario import Scenario
    from kinform.cli.demo.table import ProgressDisplay

    scenario = Scenario(plan)
    display = ProgressDisplay(scenario)
    if or_none(Gauge(os.getpid()).rss) is None:
        click.echo("memory is not measured: this system has no /proc/PID/smaps_rollup", err=True)
    elif or_none(Gauge(os.getpid()).reset_peak) is None:
        click.echo("peaks include all earlier phases: /proc/PID/clear_refs is not writable", err=True)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    refresh = asyncio.create_task(display.run())
    try:
        async with scenario.started(display):
            await scenario.run(display)
    finally:
        refresh.cancel()
        with suppress(asyncio.CancelledError):
            await refresh
    return scenario


def _all_same(scenario: Scenario) -> bool:
    return all(each.agreement is not None and each.agreement.same for each in scenario.contestants)


def report(scenario: Scenario) -> dict[str, Any]:
    """Returns the result for machines. Bytes and seconds; null if not measured."""
    plan = scenario.plan
    return {
        "kinform": kinform.__version__,
        "kubernetes_asyncio": installed_version("kubernetes_asyncio"),
        "python": platform.python_version(),
        "platform": sys.platform,
        "embedded": plan.embedded,
        "updates": plan.updates,
        "json_bytes": scenario.json_bytes,
        "contestants": {
            contestant.name: {
                "idle_bytes": contestant.idle_bytes,
                "phases": contestant.measured,
                "bytes_per_object": contestant.bytes_per_object,
                "agreement": contestant.agreement,
            }
            for contestant in scenario.contestants
        },
        "same": _all_same(scenario),
    }
