"""The commands. They start the processes and speak to the API; they never import a process.

Exit status: 0 done; 1 done and judged bad (a check that fails, a proof that does not hold); 2 wrong use, unreadable
input or a service that refuses, with one sentence on standard error and never a traceback.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from bastide.cli.commands import COMMANDS, Command
from bastide.core.error import BastideError

JUDGED_BAD = 1
WRONG_USE = 2
_INTERRUPTED = 130


def main() -> None:
    """The console script ``bastide``."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit status."""
    try:
        status = _application(arguments[0] if arguments else "")(
            list(arguments), prog_name="bastide", standalone_mode=False
        )
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except typer.TyperException as wrong:
        return _complain(f"{wrong.format_message().rstrip('.')}; see: bastide {_group(arguments)}--help")
    except BastideError as error:
        return _complain(error.sentence)
    except BrokenPipeError:
        # The reader went away (`| head`). Close quietly; flushing at exit would complain again.
        sys.stdout = None
        return 0
    except OSError as error:
        return _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    return status if isinstance(status, int) and not isinstance(status, bool) else 0


def _group(arguments: Sequence[str]) -> str:
    known = {command.name for command in COMMANDS}
    return f"{arguments[0]} " if arguments and arguments[0] in known else ""


def _application(chosen: str) -> typer.Typer:
    """All commands by name, of which only the chosen one is imported."""
    root = typer.Typer(
        name="bastide",
        help="Bastide: one control plane for the security of a fleet of IoT devices.",
        no_args_is_help=False,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback(invoke_without_command=True)(_root)
    for command in COMMANDS:
        if command.name == chosen:
            _add(root, command)
        else:
            root.command(command.name, help=command.help)(_never)
    return root


def _add(root: typer.Typer, command: Command) -> None:
    module, _, attribute = command.target.partition(":")
    found: Any = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        root.add_typer(found, name=command.name, help=command.help)
    else:
        root.command(command.name, help=found.__doc__ or command.help)(found)


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"bastide {installed('bastide')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _never() -> None:
    """Stands in the help for a command that was not asked for."""


def _complain(sentence: str) -> int:
    typer.echo(f"bastide: {' '.join(sentence.split())}", err=True)
    return WRONG_USE
