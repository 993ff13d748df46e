"""`kinform watch`: watches a collection and prints its changes.

Changes go to standard output. Progress and errors go to standard error. Object contents are printed only with
`-o json`. Messages contain keys and states, never object contents.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from kinform._errors import KinformError
from kinform.cli._exit_codes import OUTPUT, UNAVAILABLE, Failure, failure

if TYPE_CHECKING:
    from kinform import Informer
    from kinform.cli._progress import ProgressReporter
    from kinform.cli._stdout import StdoutWriter

Output = Literal["line", "json", "stats"]


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of the command line. Each field is an option."""

    resource: str
    namespaces: tuple[str, ...]
    selector: str
    field_selector: str
    output: Output
    target: str | None
    context: str | None
    metadata_only: bool
    drop: tuple[str, ...]
    keep: tuple[str, ...]
    timeout: float | None


@click.command("watch", short_help="Watch a collection and print its changes.")
@click.argument("resource")
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NS", help="Namespace. May be repeated.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces. This is the default.")
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
@click.option(
    "--kubeconfig", metavar="PATH", help="Default: $KUBECONFIG, ~/.kube/config, or the pod's service account."
)
@click.option("--context", metavar="NAME", help="Context in the kubeconfig. Default: the current context.")
@click.option("--server", metavar="URL", help="API server to use without credentials, instead of a kubeconfig.")
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
def command(
    namespaces: tuple[str, ...], all_namespaces: bool, kubeconfig: str | None, server: str | None, **options: Any
) -> int:
    """Watch a collection: print its objects, then its changes.

    RESOURCE is VERSION/PLURAL or GROUP/VERSION/PLURAL, such as v1/pods or apps/v1/deployments. Ctrl-C ends the watch.
    """
    if namespaces and all_namespaces:
        raise click.UsageError("-n and -A cannot be used together")
    if kubeconfig and server:
        raise click.UsageError("--kubeconfig and --server cannot be used together")
    if server and "://" not in server:
        raise click.BadParameter(f"{server!r} is not a URL: expected http://... or https://...", param_hint="--server")
    try:
        asyncio.run(_watch(Arguments(namespaces=namespaces, target=server or kubeconfig, **options)))
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
    scope = Scope(
        namespaces=arguments.namespaces or None,
        label_selector=arguments.selector,
        field_selector=arguments.field_selector,
        metadata_only=arguments.metadata_only,
    )
    prune, options = Prune(drop=drop, keep=arguments.keep), WatchOptions(on_error=progress.report_error)
    async with connection as api:
        # msgspec.Raw keeps the bytes as they are. A struct without fields decodes nothing.
        decoded_type: type[Any] = msgspec.Raw if arguments.output == "json" else _NoFields
        informer = Informer(api, arguments.resource, scope=scope, prune=prune, type=decoded_type, options=options)
        progress.silence_loggers()
        stdout = StdoutWriter()
        try:
            async with informer:
                print_output = _print_stats if arguments.output == "stats" else _print_events
                await _run_until_first(
                    print_output(informer, stdout, arguments),
                    progress.follow(informer),
                    _raise_failures(informer, progress, arguments.timeout),
                    _wait_for_closed_pipe(stdout),
                )
        finally:
            progress.close()
            stdout.finish(timeout=2.0)


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
        await informer.synced(timeout, wait=True)
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

    encode = _as_json if arguments.output == "json" else _line_encoder(informer)
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
        stdout.write(line)
        await stdout.drain()


_COLOURS = {"ADDED": "green", "MODIFIED": "yellow", "DELETED": "red", "SYNCED": "cyan"}


def use_colour(stream: Any) -> bool:
    """Returns whether to use colours on a stream. Source: https://no-color.org."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _line_encoder(informer: Informer[Any]) -> Callable[..., bytes]:
    from datetime import datetime

    colour = use_colour(sys.stdout)
    labels = {event: click.style(f"{event:8}", fg=_COLOURS[event]) if colour else f"{event:8}" for event in _COLOURS}

    def encode(event: str, key: str, obj: Any, remark: str = "") -> bytes:
        name = key or str(informer.resource)
        suffix = f" ({remark})" if remark else ""
        return f"{datetime.now():%H:%M:%S} {labels[event]} {name}{suffix}\n".encode()

    return encode


def _as_json(event: str, key: str, obj: msgspec.Raw | None, remark: str = "") -> bytes:
    raw = bytes(obj) if obj is not None else b"null"
    if b"\n" in raw:  # only between tokens, from a server that indents: a JSON string escapes line ends
        raw = msgspec.json.format(raw, indent=-1)
    return b'{"type":"%b","key":%b,"object":%b}\n' % (event.encode(), msgspec.json.encode(key), raw)


async def _print_stats(informer: Informer[Any], stdout: StdoutWriter, arguments: Arguments) -> None:
    import shutil
    from datetime import datetime

    from kinform.cli._process_memory import Gauge, mib, or_none
    from kinform.cli._progress import object_count

    gauge, live = Gauge(os.getpid()), sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    received = 0
    while True:
        stats = informer.stats()
        rate, received = stats.wire_bytes - received, stats.wire_bytes
        errors = sum(stream.errors for stream in stats.streams.values())
        skipped = sum(stream.skipped for stream in stats.streams.values())
        line = (
            f"{datetime.now():%H:%M:%S} {stats.state}: {object_count(stats.objects)}, "
            f"{mib(stats.memory.pruned_bytes)} MiB after pruning, {mib(stats.memory.held_bytes)} MiB in the store; "
            f"{mib(received)} MiB received, {mib(rate)} MiB/s; "
            f"process {mib(or_none(gauge.rss_estimate))} MiB; {errors} errors, {skipped} skipped"
        )
        width = shutil.get_terminal_size().columns - 1
        stdout.write(f"\r\x1b[K{line[:width]}".encode() if live else f"{line}\n".encode())
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            if live:
                stdout.write(b"\n")
            raise
