"""`kinform watch`: follows a collection and prints what happens to it.

What is printed goes to standard output, how it is going to standard error. Objects are printed as they come,
and only where asked for (`-o json`); messages hold keys and states alone.
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
    from kinform.cli._progress import News
    from kinform.cli._stdout import Lines

Output = Literal["line", "json", "stats"]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line. The fields are the options."""

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


@click.command("watch", short_help="Follow a collection and print what happens.")
@click.argument("resource")
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NS", help="A namespace; may be repeated.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces: the default, said aloud.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Label selector, as in kubectl -l.")
@click.option("--field-selector", default="", metavar="SELECTOR", help="Field selector, as in kubectl.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["line", "json", "stats"]),
    default="line",
    show_default=True,
    help="A line an event; a JSON object an event; or how it is going, every second.",
)
@click.option("--kubeconfig", metavar="PATH", help="Default: $KUBECONFIG, ~/.kube/config, then the pod's account.")
@click.option("--context", metavar="NAME", help="The kubeconfig's context; default: its current one.")
@click.option("--server", metavar="URL", help="An API server without credentials, instead of a kubeconfig.")
@click.option("--metadata-only", is_flag=True, help="Ask the server for metadata alone.")
@click.option(
    "--drop",
    multiple=True,
    metavar="PATH",
    help="Leave this path out, besides metadata.managedFields; may be repeated.",
)
@click.option("--keep", multiple=True, metavar="PATH", help="Leave all else out; may be repeated.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up if the first complete state has not come by then; default: keep trying.",
)
def command(
    namespaces: tuple[str, ...], all_namespaces: bool, kubeconfig: str | None, server: str | None, **options: Any
) -> int:
    """Follow RESOURCE ("v1/pods", "apps/v1/deployments") and print what is there, then what happens.

    Ctrl-C ends it.
    """
    if namespaces and all_namespaces:
        raise click.UsageError("-n and -A exclude each other")
    if kubeconfig and server:
        raise click.UsageError("--kubeconfig and --server exclude each other")
    if server and "://" not in server:
        raise click.BadParameter("expected an http(s):// URL", param_hint="--server")
    try:
        asyncio.run(_watch(Wanted(namespaces=namespaces, target=server or kubeconfig, **options)))
    except KeyboardInterrupt:
        pass
    except KinformError as error:
        raise failure(error) from None
    return 0


async def _watch(wanted: Wanted) -> None:
    from kinform import Informer, Prune, Scope, WatchOptions, connect
    from kinform.cli._progress import News
    from kinform.cli._stdout import Lines

    drop = wanted.drop if wanted.keep else ("metadata.managedFields", *wanted.drop)
    news = News(wanted.resource, moving=wanted.output != "stats")
    connection = connect(wanted.target, context=wanted.context)
    scope = Scope(
        namespaces=wanted.namespaces or None,
        label_selector=wanted.selector,
        field_selector=wanted.field_selector,
        metadata_only=wanted.metadata_only,
    )
    prune, options = Prune(drop=drop, keep=wanted.keep), WatchOptions(on_error=news.error)
    async with connection as api:
        # Raw passes the bytes on as they are; a type without fields decodes nothing.
        kind = msgspec.Raw if wanted.output == "json" else _Anything
        informer = Informer(api, wanted.resource, scope=scope, prune=prune, type=kind, options=options)
        news.replace_logs()
        lines = Lines()
        try:
            async with informer:
                printing = _print_stats if wanted.output == "stats" else _print_events
                await _first(
                    printing(informer, lines, wanted),
                    news.follow(informer),
                    _synced(informer, news, wanted.timeout),
                    _unread(lines),
                )
        finally:
            news.close()
            lines.finish(timeout=2.0)


class _Anything(msgspec.Struct):
    """Any object."""


async def _first(*todo: Awaitable[None]) -> None:
    """Runs all until the first returns or raises."""
    tasks = [asyncio.ensure_future(each) for each in todo]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _synced(informer: Informer, news: News, timeout: float | None) -> None:
    try:
        await informer.synced(timeout)
    except TimeoutError as error:
        code = UNAVAILABLE if news.last is None else failure(news.last).code
        raise Failure(str(error), code) from None
    await asyncio.Event().wait()


async def _unread(lines: Lines) -> None:
    """Returns once nobody reads what is printed (`| head`), though there be nothing to print."""
    while not lines.closed.is_set() and not lines.hung_up():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await lines.closed.wait()
    if lines.error is not None:
        raise Failure(f"standard output: {lines.error.strerror}", OUTPUT)


async def _print_events(informer: Informer, lines: Lines, wanted: Wanted) -> None:
    from kinform import Added, Deleted, Synced, Updated

    write = _as_json if wanted.output == "json" else _as_line(informer)
    async for change in informer.changes():
        match change:
            case Added(key, found):
                line = write("ADDED", key, found)
            case Updated(key, found):
                line = write("MODIFIED", key, found)
            case Deleted(key, found, synthetic):
                line = write("DELETED", key, found, "found missing by a relist" if synthetic else "")
            case Synced():
                line = write("SYNCED", None, None, f"{len(informer.store):,} objects")
        lines.put(line)
        await lines.drained()


_COLOURS = {"ADDED": "green", "MODIFIED": "yellow", "DELETED": "red", "SYNCED": "cyan"}


def coloured(stream: Any) -> bool:
    """Whether a stream is a terminal that colours are wanted on. Source: https://no-color.org."""
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _as_line(informer: Informer) -> Callable[..., bytes]:
    from datetime import datetime

    colour = coloured(sys.stdout)
    words = {verb: click.style(f"{verb:8}", fg=_COLOURS[verb]) if colour else f"{verb:8}" for verb in _COLOURS}

    def line(verb: str, key: str | None, found: Any, remark: str = "") -> bytes:
        what = str(informer.resource) if key is None else key
        end = f" ({remark})" if remark else ""
        return f"{datetime.now():%H:%M:%S} {words[verb]} {what}{end}\n".encode()

    return line


def _as_json(verb: str, key: str | None, found: msgspec.Raw | None, remark: str = "") -> bytes:
    raw = bytes(found) if found is not None else b"null"
    if b"\n" in raw:  # never inside a JSON string: a server that indents
        raw = msgspec.json.format(raw, indent=-1)
    return b'{"type":"%b","key":%b,"object":%b}\n' % (verb.encode(), msgspec.json.encode(key), raw)


async def _print_stats(informer: Informer, lines: Lines, wanted: Wanted) -> None:
    import shutil
    from datetime import datetime

    from kinform.cli._process_memory import Gauge, mib, or_none

    gauge, live = Gauge(os.getpid()), sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    received = 0
    while True:
        stats = informer.stats()
        rate, received = stats.wire_bytes - received, stats.wire_bytes
        errors = sum(stream.errors for stream in stats.streams.values())
        skipped = sum(stream.skipped for stream in stats.streams.values())
        told = (
            f"{datetime.now():%H:%M:%S} {stats.state}: {stats.objects:,} objects, "
            f"{mib(stats.pruned_bytes)} MiB pruned; {mib(received)} MiB received, {mib(rate)} MiB/s; "
            f"process {mib(or_none(gauge.rss_estimate))} MiB; {errors} errors, {skipped} left out"
        )
        width = shutil.get_terminal_size().columns - 1
        lines.put(f"\r\x1b[K{told[:width]}".encode() if live else f"{told}\n".encode())
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            if live:
                lines.put(b"\n")
            raise
