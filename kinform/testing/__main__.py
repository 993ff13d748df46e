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

from kinform.testing import _admin
from kinform.testing._resources import parse_name
from kinform.testing._server import Server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m kinform.testing",
        description="A Kubernetes API server simulator. Prints its URL as the first line.",
        epilog=_admin.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 picks a free one (default)")
    parser.add_argument(
        "--pods",
        type=int,
        default=0,
        metavar="N",
        help="pods to generate, 8 KB each on average, with their namespaces and nodes",
    )
    parser.add_argument(
        "--namespaces",
        type=int,
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
    return parser.parse_args()


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


async def _serve(arguments: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = Server(
        port=arguments.port,
        seed=arguments.seed,
        watch_list=not arguments.no_watch_list,
        sharding=arguments.sharding,
        bookmark_interval=arguments.bookmark_interval,
        token=arguments.token,
    )
    for resource, kind, namespaced in arguments.custom_resource:
        server.register(resource, kind=kind, namespaced=namespaced, status_subresource=True)
    server.generate("v1/namespaces", arguments.namespaces)
    _generate_pods(server, arguments.pods)
    async with server:
        if arguments.kubeconfig:
            server.write_kubeconfig(arguments.kubeconfig)
        print(server.url, flush=True)
        if arguments.until_stdin_closes:
            loop.add_reader(sys.stdin.fileno(), _stop_at_eof, stopping)
        await stopping.wait()
        if arguments.until_stdin_closes:
            loop.remove_reader(sys.stdin.fileno())


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
    asyncio.run(_serve(_arguments()))
