"""`kinform prune`: shows bytes by path, and suggests a `Prune`.

Only reads. Prints paths and sizes, but never values.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kinform._errors import KinformError
from kinform.cli._exit_codes import USAGE, Failure, failure
from kinform.cli._report.output import output_options, write_report
from kinform.cli._target import check_target, target_options

if TYPE_CHECKING:
    from kinform.cli.prune.report import PruneReport


@click.command("prune", short_help="Show the bytes of a collection by path, and suggest a Prune.")
@click.argument("resource", required=False)
@click.option("--suggest", is_flag=True, help="Also watch the collection, and suggest a Prune to copy.")
@click.option(
    "--for",
    "type_name",
    metavar="FILE.py:TYPE",
    help="Suggest what this type reads, such as pods.py:Pod. The file is run.",
)
@click.option("-n", "--namespace", "namespaces", multiple=True, metavar="NS", help="Namespace. May be repeated.")
@click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces. The default without -n.")
@click.option("-l", "--selector", default="", metavar="SELECTOR", help="Label selector, as in kubectl.")
@click.option(
    "--dump",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Read the output of `kubectl get -o json`, or one JSON object per line, instead of a cluster.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Watch for changes for this time. 0: do not watch.",
)
@target_options
@output_options
def command(
    kubeconfig: str | None,
    context: str | None,
    server: str | None,
    *,
    as_json: bool,
    html: Path | None,
    **options: Any,
) -> int:
    """Show the bytes of a collection by path, and suggest a Prune.

    Reads all objects of RESOURCE: a name as in kubectl, such as pods or deployments.apps. For each path it shows the
    size of its JSON, and what the store of kinform saves without it. With --suggest, it also watches the collection,
    counts the paths that change, and prints a Prune to copy. Only reads, and never prints values of fields.
    """
    target = check_target(kubeconfig, context, server)
    if (options["resource"] is None) == (options["dump"] is None):
        raise click.UsageError("expected RESOURCE or --dump FILE")
    if options["namespaces"] and options["all_namespaces"]:
        raise click.UsageError("-n and -A cannot be used together")
    if options["type_name"] is not None:
        options["suggest"] = True
    try:
        report = asyncio.run(_survey(target, context, **options))
    except KinformError as error:
        raise failure(error) from None
    from kinform.cli.prune.sections import document

    write_report(report, lambda found: document(found, suggest=options["suggest"]), as_json=as_json, html=html)
    return 0


async def _survey(
    target: str | None,
    context: str | None,
    *,
    resource: str | None,
    suggest: bool,
    type_name: str | None,
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    selector: str,
    dump: Path | None,
    seconds: float,
) -> PruneReport:
    from kinform import Resource, Scope, connect
    from kinform.cli._report.activity import Activity
    from kinform.cli._resource import find_resource
    from kinform.cli.prune.dump import read_dump
    from kinform.cli.prune.survey import make_report, read_collection, read_objects
    from kinform.cli.prune.user_type import load_type

    type = None if type_name is None else load_type(type_name)
    if not suggest or dump is not None:
        seconds = 0.0
    with Activity() as activity:
        if dump is not None:
            found, name = read_objects(read_dump(dump)), str(dump)
            of = Resource(group="", version="v1", plural="objects")
        else:
            assert resource is not None
            scope = Scope(namespaces=namespaces or None, label_selector=selector)
            async with connect(target, context=context) as api:
                known = await find_resource(api, resource)
                if known is None:
                    raise Failure(f'the server doesn\'t have a resource type "{resource}"', USAGE)
                of, name = known.resource, str(known.resource)
                found = await read_collection(api, of, scope, seconds, activity)
        return await make_report(name, of, found, seconds=seconds, type=type, on_progress=activity)
