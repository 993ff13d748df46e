"""The output of a report: tables, one JSON object, or a page."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from kinform.cli._exit_codes import OUTPUT, Failure
from kinform.cli._report.section import Document


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json` and `--html` to a command, as `as_json` and `html`."""
    command = click.option(
        "--html",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=_check_page,
        metavar="FILE",
        help="Also write the report as one HTML page. An existing file is not overwritten.",
    )(command)
    return click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")(command)


def _check_page(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.exists():
        raise click.BadParameter(f"{str(path)!r} exists: expected a new file")
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"{str(path)!r}: expected a new file in an existing folder")
    return path


def write_report(
    report: msgspec.Struct, to_document: Callable[[Any], Document], *, as_json: bool, html: Path | None
) -> None:
    """Prints tables or JSON. Also writes a page, and names it on standard error.

    Raises:
        Failure: The page cannot be written.
    """
    if html is not None:
        from kinform.cli._report.page import render

        try:
            # It has the names of a cluster: only its owner may read it.
            with os.fdopen(os.open(html, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(render(to_document(report)))
        except OSError as error:
            raise Failure(f"cannot write {html}: {error.strerror}", OUTPUT) from None
        click.echo(f"kinform: the report is in {html}", err=True)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        from kinform.cli._report.terminal import print_document

        print_document(to_document(report))
