"""`kinform demo`: a naive loop over kubernetes_asyncio and kinform, beside each other on one API server.

What is done and measured is `_course`'s; what is shown, `_board`'s.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import sys
from contextlib import suppress
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from kinform.cli._exit_codes import DIFFERENT

if TYPE_CHECKING:
    from kinform.cli.demo.scenario import Course, Plan


@click.command("demo", short_help="A naive loop and kinform side by side, with memory.")
@click.option("--pods", type=click.IntRange(min=1), default=20_000, show_default=True, metavar="N", help="Pods.")
@click.option(
    "--namespaces", type=click.IntRange(min=1), default=20_000, show_default=True, metavar="N", help="Namespaces."
)
@click.option(
    "--updates",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Updates in the storm, over pods and namespaces by their numbers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option(
    "--kubeconfig", metavar="PATH", help="A real cluster instead, only read: no storm, a relist of one's own."
)
@click.option("--context", metavar="NAME", help="The kubeconfig's context; default: its current one.")
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, kubeconfig: str | None, context: str | None, **sizes: int) -> int:
    """Copy the objects of an API server into memory in two ways, and compare.

    Starts an API server of its own with pods and namespaces, then has a naive loop over kubernetes_asyncio (list,
    watch, into a dict) and kinform follow them through a first sync, a storm of updates and a relist after 410,
    each in its own process. They take turns, so that neither slows the other. About two minutes on two
    cores that have nothing else to do, nearly all of it the naive loop's; and 3 GiB of memory, likewise.

    Exits with 1 if the copies differ from what the server holds.
    """
    from kinform.cli.demo.scenario import Plan

    if context is not None and kubeconfig is None:
        raise click.UsageError("--context needs --kubeconfig")
    if kubeconfig is not None:
        given = [name for name in sizes if ctx.get_parameter_source(name) != click.core.ParameterSource.DEFAULT]
        if given:
            raise click.UsageError(f"--{given[0]} means nothing with --kubeconfig: a real cluster is only read")
        if not Path(kubeconfig).expanduser().is_file():
            raise click.BadParameter("no such file", param_hint="--kubeconfig")
        kubeconfig = str(Path(kubeconfig).expanduser())
        sizes = dict.fromkeys(sizes, 0)
    plan = Plan(embedded=kubeconfig is None, kubeconfig=kubeconfig, context=context, **sizes)
    try:
        course = asyncio.run(_demo(plan))
    except asyncio.CancelledError:  # by SIGTERM or SIGHUP; for Ctrl-C asyncio has its own word
        raise KeyboardInterrupt from None
    if as_json:
        click.echo(msgspec.json.encode(report(course)).decode())
    else:
        from rich.console import Console

        from kinform.cli.demo.table import result

        Console().print(result(course))
    for side in course.sides:
        if side.agreement is not None and side.agreement.examples:
            click.echo(f"kinform: {side.name} differs at {', '.join(side.agreement.examples)}", err=True)
    return 0 if _same(course) else DIFFERENT


async def _demo(plan: Plan) -> Course:
    from kinform.cli._process_memory import Gauge, or_none
    from kinform.cli.demo.scenario import Course
    from kinform.cli.demo.table import Board

    course = Course(plan)
    board = Board(course)
    if or_none(Gauge(os.getpid()).rss) is None:
        board.say("there is no /proc/PID/smaps_rollup here: memory is not measured")
    elif or_none(Gauge(os.getpid()).reset_peak) is None:
        board.say("/proc/PID/clear_refs cannot be written here: peaks are those since the start")
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    moving = asyncio.create_task(board.run())
    try:
        async with course.opened(board):
            await course.run(board)
    finally:
        moving.cancel()
        with suppress(asyncio.CancelledError):
            await moving
    return course


def _same(course: Course) -> bool:
    return all(side.agreement is not None and side.agreement.same for side in course.sides)


def report(course: Course) -> dict[str, Any]:
    """All of it for machines. Bytes and seconds; null is what could not be measured."""
    from kinform.cli._app import version

    plan = course.plan
    return {
        "kinform": version(),
        "kubernetes_asyncio": installed("kubernetes_asyncio"),
        "python": platform.python_version(),
        "platform": sys.platform,
        "embedded": plan.embedded,
        "updates": plan.updates,
        "json_bytes": course.json_bytes,
        "sides": {
            side.name: {
                "idle_bytes": side.idle_bytes,
                "phases": side.done,
                "bytes_per_object": side.bytes_per_object,
                "agreement": side.agreement,
            }
            for side in course.sides
        },
        "same": _same(course),
    }
