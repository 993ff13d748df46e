"""`kinform watch`: watches a collection and prints its changes.

Changes go to standard output. Progress and errors go to standard error. Object contents are printed only with
`-o json`. Messages contain keys and states, never object contents.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from kinform._errors import KinformError, OptionError
from kinform.cli._exit_codes import OUTPUT, UNAVAILABLE, USAGE, Failure, failure
from kinform.cli._process_memory import Gauge, or_none
from kinform.cli._rows import STATS_HEADER, EventRows, stats_row
from kinform.cli._target import check_target, target_options

if TYPE_CHECKING:
    from kinform import Connection, Informer
    from kinform.cli._progress import ProgressReporter
    from kinform.cli._resource import Found
    from kinform.cli._stdout import StdoutWriter

Output = Literal["line", "json", "stats"]

# Between two requests for the resource, doubled up to the maximum.
FIRST_WAIT_SECONDS = 0.8
MAX_WAIT_SECONDS = 30.0


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of the command line. Each field is an option."""

    resource: str
    namespaces: tuple[str, ...]
    all_namespaces: bool
    selector: str
    field_selector: str
    output: Output
    target: str | None
    context: str | None
    metadata_only: bool
    drop: tuple[str, ...]
    keep: tuple[str, ...]
    timeout: float | None
    headers: bool


@click.command("watch", short_help="Watch a collection and print its changes.")
@click.argument("resource")
@click.option(
    "-n",
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NS",
    help="Namespace. May be repeated. Default: the namespace of the context.",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Label selector, as in kubectl.")
@click.option("--field-selector", default="", metavar="SELECTOR", help="Field selector, as in kubectl.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["line", "json", "stats"]),
    default="line",
    show_default=True,
    help="One line per event, one JSON object per event, or statistics once per second.",
)
@target_options
@click.option("--metadata-only", is_flag=True, help="Request only the metadata of the objects.")
@click.option(
    "--drop",
    multiple=True,
    metavar="PATH",
    help="Field to remove, in addition to metadata.managedFields. May be repeated.",
)
@click.option("--keep", multiple=True, metavar="PATH", help="Field to keep; all others are removed. May be repeated.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up if the initial sync takes longer. Default: retry forever.",
)
@click.option("--no-headers", "headers", is_flag=True, default=True, flag_value=False, help="Print no header.")
def command(kubeconfig: str | None, server: str | None, **options: Any) -> int:
    """Watch a collection: print its objects, then its changes.

    RESOURCE is a name as in kubectl, such as pods, po, deployments.apps or deployments.v1.apps; or with its version,
    such as v1/pods or apps/v1/deployments. Ctrl-C ends the watch.
    """
    if options["namespaces"] and options["all_namespaces"]:
        raise click.UsageError("-n and -A cannot be used together")
    target = check_target(kubeconfig, options["context"], server)
    try:
        asyncio.run(_watch(Arguments(target=target, **options)))
    except KeyboardInterrupt:
        pass
    except KinformError as error:
        raise failure(error) from None
    return 0


async def _watch(arguments: Arguments) -> None:
    from kinform import Informer, Prune, Scope, WatchOptions, connect
    from kinform.cli._progress import ProgressReporter
    from kinform.cli._stdout import StdoutWriter

    drop = arguments.drop if arguments.keep else ("metadata.managedFields", *arguments.drop)
    progress = ProgressReporter(arguments.resource, animate=arguments.output != "stats")
    connection = connect(arguments.target, context=arguments.context)

    def scope(namespaces: tuple[str, ...] | None) -> Scope:
        return Scope(
            namespaces=namespaces,
            label_selector=arguments.selector,
            field_selector=arguments.field_selector,
            metadata_only=arguments.metadata_only,
        )

    scope(arguments.namespaces or None)  # raises before anything is sent
    prune, options = Prune(drop=drop, keep=arguments.keep), WatchOptions(on_error=progress.report_error)
    start = time.monotonic()
    async with connection as api:
        found = await _find(api, arguments, progress)
        namespaces = (arguments.namespaces or (api.namespace,)) if found.namespaced else None
        # msgspec.Raw keeps the bytes as they are. A struct without fields decodes nothing.
        decoded_type: type[Any] = msgspec.Raw if arguments.output == "json" else _NoFields
        informer = Informer(
            api,
            found.resource,
            scope=scope(None if arguments.all_namespaces else namespaces),
            prune=prune,
            type=decoded_type,
            options=options,
        )
        progress.silence_loggers()
        stdout = StdoutWriter()
        print_output = _print_stats if arguments.output == "stats" else _print_events
        timeout = arguments.timeout and max(0.0, start + arguments.timeout - time.monotonic())
        try:
            async with informer:
                await _run_until_first(
                    print_output(informer, stdout, arguments),
                    progress.follow(informer),
                    _raise_failures(informer, progress, timeout),
                    _wait_for_closed_pipe(stdout),
                )
        finally:
            progress.close()
            stdout.finish(timeout=2.0)


async def _find(api: Connection, arguments: Arguments, progress: ProgressReporter) -> Found:
    """Returns the resource.

    Waits for a server that is unreachable, and for a resource whose version is given: a CRD may be installed later.
    """
    from kinform import ForbiddenError, Resource, UnauthorizedError
    from kinform.cli._resource import Found, find_resource

    name, wait = arguments.resource, FIRST_WAIT_SECONDS
    missing = f'the server doesn\'t have a resource type "{name}"'
    why, code = "no answer", UNAVAILABLE
    try:
        async with asyncio.timeout(arguments.timeout):
            while True:
                try:
                    if found := await find_resource(api, name):
                        return found
                    if "/" not in name:
                        raise Failure(missing, USAGE)
                    why, code = f"not found ({missing})", UNAVAILABLE
                    progress.report(f"{missing} yet; waiting for it")
                except (UnauthorizedError, ForbiddenError):
                    if "/" not in name:
                        raise
                    return Found(Resource.of(name), namespaced=True)  # the informer may have permissions
                except OptionError:
                    raise
                except KinformError as error:
                    why, code = f"retrying ({error})", failure(error).code
                    progress.report(f"{name}: {why}")
                await asyncio.sleep(wait)
                wait = min(2 * wait, MAX_WAIT_SECONDS)
    except TimeoutError:
        raise Failure(f"not synced after {arguments.timeout:g} s; {name}: {why}", code) from None


class _NoFields(msgspec.Struct):
    """An object of which no field is decoded."""


async def _run_until_first(*coroutines: Awaitable[None]) -> None:
    """Runs all until the first returns or raises, then cancels the others."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _raise_failures(informer: Informer[Any], progress: ProgressReporter, timeout: float | None) -> None:
    """Raises Failure if the initial sync times out, or the error of a failed informer."""
    try:
        await informer.synced(timeout, wait=True, allow_skipped=True)
    except TimeoutError as error:
        code = UNAVAILABLE if progress.last_error is None else failure(progress.last_error).code
        raise Failure(str(error), code) from None
    raise await informer.failed()


async def _wait_for_closed_pipe(stdout: StdoutWriter) -> None:
    """Returns once the reader of the pipe is gone (`| head`), even without output."""
    while not stdout.closed.is_set() and not stdout.reader_is_gone():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await stdout.closed.wait()
    if stdout.error is not None:
        raise Failure(f"cannot write to standard output: {stdout.error.strerror}", OUTPUT)


async def _print_events(informer: Informer[Any], stdout: StdoutWriter, arguments: Arguments) -> None:
    from kinform import Added, Deleted, Synced, Updated
    from kinform.cli._progress import object_count

    rows = EventRows(namespaces=len(informer.stats().streams) > 1 or arguments.all_namespaces)
    encode = _as_json if arguments.output == "json" else rows.encode
    header = rows.header if arguments.headers and arguments.output == "line" else b""
    async for change in informer.changes(allow_skipped=True):
        match change:
            case Added(key, obj):
                line = encode("ADDED", key, obj)
            case Updated(key, obj):
                line = encode("MODIFIED", key, obj)
            case Deleted(key, obj, synthetic):
                line = encode("DELETED", key, obj, "missing after a relist" if synthetic else "")
            case Synced(key):
                degraded = len(informer.stats().degraded)
                skipped = f", {degraded} skipped" if degraded else ""
                line = encode("SYNCED", key, None, f"{object_count(len(informer.store))}{skipped}")
        stdout.write(header + line)  # as in kubectl, no header without a row
        header = b""
        await stdout.drain()


def _as_json(event: str, key: str, obj: msgspec.Raw | None, remark: str = "") -> bytes:
    raw = bytes(obj) if obj is not None else b"null"
    if b"\n" in raw:  # only between tokens, from a server that indents: a JSON string escapes line ends
        raw = msgspec.json.format(raw, indent=-1)
    return b'{"type":"%b","key":%b,"object":%b}\n' % (event.encode(), msgspec.json.encode(key), raw)


async def _print_stats(informer: Informer[Any], stdout: StdoutWriter, arguments: Arguments) -> None:
    gauge = Gauge(os.getpid())
    received = 0
    if arguments.headers:
        stdout.write(STATS_HEADER.encode())
    while True:
        stats = informer.stats()
        rate, received = stats.wire_bytes - received, stats.wire_bytes
        stdout.write(stats_row(stats, rate, or_none(gauge.rss_estimate)))
        await asyncio.sleep(1.0)
