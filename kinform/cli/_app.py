"""The program `kinform`: its commands, its version and its exit code.

Imports a command's module only when that command is used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

import kinform
from kinform.cli._exit_codes import INTERRUPTED, USAGE, Failure

COMMANDS = {
    "audit": "kinform.cli.audit.command",
    "demo": "kinform.cli.demo.command",
    "prune": "kinform.cli.prune.command",
    "watch": "kinform.cli.watch",
}


class _LazyGroup(click.Group):
    """A click group that imports the module of a command on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


def _print_version(ctx: click.Context, param: click.Parameter, requested: bool) -> None:
    if requested:
        click.echo(f"kinform {kinform.__version__}")
        ctx.exit()


@click.group(
    "kinform",
    cls=_LazyGroup,
    help="A memory-efficient Kubernetes informer: watch a collection, audit a cluster, or compare kinform with a"
    " list-watch loop.",
    epilog="Exit codes: 0 success, 64 usage error, 69 unavailable, 74 standard output failed, 77 denied (401 or 403),"
    " 130 interrupted by Ctrl-C, which ends `kinform watch` with 0. `kinform demo` also exits with 1 if the copies"
    " differ from the server, and with 70 if a child process died.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    help="Show the version and exit.",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
)
def _app() -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code.

    Turns usage errors, `Failure`, Ctrl-C and a closed pipe into exit codes. Other exceptions are bugs and propagate.
    """
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
        # Python flushes standard output again at exit, which would raise a second time.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
