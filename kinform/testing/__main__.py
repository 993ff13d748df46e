"""`python -m kinform.testing`: the simulator in a process of its own.

Prints its URL as the first line once it listens, and runs until it is interrupted or its standard input closes.
Executes commands over HTTP: see `_admin`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kinform.testing import _admin
from kinform.testing._resources import parse_name
from kinform.testing._server import Server


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kinform.testing",
        description="A Kubernetes API server simulator. Prints its URL as the first line.",
        epilog=_admin.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 picks a free one (default)")
    parser.add_argument(
        "--pods",
        type=_count,
        default=0,
        metavar="N",
        help="pods to generate, 8 KB each on average, with their namespaces and nodes",
    )
    parser.add_argument(
        "--namespaces",
        type=_count,
        default=0,
        metavar="N",
        help="the least number of namespaces; there are more if the pods need them",
    )
    parser.add_argument(
        "--custom-resource",
        type=_custom_resource,
        action="append",
        default=[],
        metavar="RESOURCE=KIND[:cluster]",
        help="serve a custom resource with a status, such as example.com/v1/widgets=Widget, or one without namespaces,"
        " such as example.com/v1/racks=Rack:cluster; can be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the generated objects (default 0)")
    parser.add_argument("--no-watch-list", action="store_true", help="refuse WatchList with 422")
    parser.add_argument("--sharding", action="store_true", help="filter by shardSelector (KEP-5866)")
    parser.add_argument("--bookmark-interval", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--token", help="require this bearer token")
    parser.add_argument("--kubeconfig", metavar="PATH", help="write a kubeconfig for this server")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input closes")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, at least 0")
    return int(text)


def _custom_resource(text: str) -> tuple[str, str, bool]:
    """Returns the resource, its kind, and whether it is namespaced."""
    resource, _, kind = text.partition("=")
    kind, colon, scope = kind.partition(":")
    try:
        group, _, _ = parse_name(resource)
    except ValueError:
        group = ""
    if not group or not kind.isalnum() or (colon and scope != "cluster"):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected RESOURCE=KIND or RESOURCE=KIND:cluster, such as example.com/v1/widgets=Widget"
        )
    return resource, kind, not colon


def main() -> None:
    """Runs the simulator; exits with 2 if an argument is not valid."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        server = Server(
            port=arguments.port,
            seed=arguments.seed,
            watch_list=not arguments.no_watch_list,
            sharding=arguments.sharding,
            bookmark_interval=arguments.bookmark_interval,
            token=arguments.token,
        )
    except ValueError as error:
        parser.error(str(error))
    asyncio.run(_serve(server, arguments, parser))


async def _serve(server: Server, arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    for resource, kind, namespaced in arguments.custom_resource:
        server.register(resource, kind=kind, namespaced=namespaced, status_subresource=True)
    server.generate("v1/namespaces", arguments.namespaces)
    _generate_pods(server, arguments.pods)
    with _reported(parser, f"argument --port: {arguments.port}"):
        await server.start()
    async with server:
        if arguments.kubeconfig:
            with _reported(parser, f"argument --kubeconfig: {arguments.kubeconfig}"):
                server.write_kubeconfig(arguments.kubeconfig)
        print(server.url, flush=True)
        if arguments.until_stdin_closes:
            loop.add_reader(sys.stdin.fileno(), _stop_at_eof, stopping)
        await stopping.wait()
        if arguments.until_stdin_closes:
            loop.remove_reader(sys.stdin.fileno())


@contextmanager
def _reported(parser: argparse.ArgumentParser, argument: str) -> Iterator[None]:
    """Reports a refusal of the operating system as one of an argument."""
    try:
        yield
    except OSError as error:
        parser.error(f"{argument}: {error.strerror}")


def _generate_pods(server: Server, count: int) -> None:
    """Generates pods, and the namespaces and nodes that they name."""
    pods = [server.get("v1/pods", key) for key in server.generate("v1/pods", count)]
    namespaces = {pod["metadata"]["namespace"] for pod in pods if pod is not None}
    nodes = {pod["spec"]["nodeName"] for pod in pods if pod is not None and "nodeName" in pod["spec"]}
    for resource, names in (("v1/namespaces", namespaces), ("v1/nodes", nodes)):
        missing = names.difference(server.keys(resource))
        while missing:
            missing.difference_update(server.generate(resource, 1))


def _stop_at_eof(stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stopping.set()


if __name__ == "__main__":
    main()
