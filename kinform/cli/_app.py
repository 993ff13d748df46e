"""The program `kinform`: its commands, its version, and its exit code.

Each command is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence

import click

from kinform.cli._exit_codes import INTERRUPTED, USAGE, Failure

COMMANDS = {"demo": "kinform.cli.demo.command", "watch": "kinform.cli.watch"}


class _Commands(click.Group):
    """A group whose commands are modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


def version() -> str:
    """The version that is installed."""
    try:
        return importlib.metadata.version("kinform")
    except importlib.metadata.PackageNotFoundError:
        return "(a source tree, not installed)"


def _tell_version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"kinform {version()}")
        ctx.exit()


@click.group(
    "kinform",
    cls=_Commands,
    help="A live, correct, pruned copy of Kubernetes objects, in little memory.",
    epilog="Exit codes: 0 done, 64 usage, 69 unavailable, 77 denied.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    help="Show the version and exit.",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
)
def _app() -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; never raises, whatever fails as it may be expected to."""
    try:
        code = _app.main(arguments, prog_name="kinform", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.UsageError as error:
        error.show()
        return USAGE
    except Failure as error:
        click.echo(f"kinform: {error}", err=True)
        return error.code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more as it ends, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
