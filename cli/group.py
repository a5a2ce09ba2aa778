"""Arguments -> a sub-command, loaded when it is called; exceptions -> messages and exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from .. import __version__
from ..grammar.diagnostics import MergecError, RunError, did_you_mean
from .console_streams import check_streams, forget_stdout, is_from_stdout
from .failure import (
    FAILED,
    INTERRUPTED,
    USAGE,
    show_error,
    show_interrupted,
    show_unexpected,
    show_usage,
)
from .signals import Stopped

COMMANDS = {
    "check": ("check_command", "Check recipes: syntax, names, parameters, models' headers."),
    "plan": (
        "plan_command",
        "Show what a recipe would read, compute and write, and in what memory.",
    ),
    "run": ("run_command", "Run a recipe: write its merged checkpoints."),
    "convert": ("convert_command", "Print a mergekit YAML recipe in the .merge language."),
    "fmt": ("fmt_command", "Format .merge recipes."),
    "methods": ("methods_command", "List the merge methods, or document one."),
    "explain": ("explain_command", "Explain an error code, a tensor of an output, or a change."),
    "inspect": ("inspect_command", "Show a checkpoint's tensors, layers and config."),
    "lock": ("lock_command", "Keep which files a recipe's sources are."),
    "verify": ("verify_command", "Check a checkpoint: files, names, shapes, checksums, numbers."),
    "diff": ("diff_command", "Compare two checkpoints, by layer and by tensor."),
    "clean": ("clean_command", "Remove what interrupted runs have left."),
    "quick": ("quick_command", "Merge models by one method, without a recipe's file."),
    "init": ("init_command", "Write a commented recipe to go on with."),
    "push": ("push_command", "Upload an output to the Hugging Face Hub."),
    "generate": ("generate_command", "Print what a merged model says after a prompt."),
    "chat": ("chat_command", "Talk with a merged model."),
    "completion": ("completion_command", "Print a shell's completion script."),
    "extract": ("extract_command", "Make an adapter of what a model has learned since its base."),
    "demo": ("demo_command", "Make tiny models and run a hierarchical merge of them."),
}
"""Sub-commands: the module whose `command` each is, and its line in the help."""

_EPILOG = """\b
A first merge:
  mergec plan merge.merge --models ./models
  mergec run merge.merge --models ./models --memory 8GiB
docs/ has a tutorial, the language, how to read a plan, and mergekit's YAML key by key;
mergec explain CODE says more about an error.
MERGEC_DEBUG=1 shows tracebacks; NO_COLOR=1 turns colours off."""


class Commands(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(f".{module}", __package__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            hint = did_you_mean(name, COMMANDS) or f"commands: {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command `{name}`: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run a command line and exit the process with its code."""
        try:
            check_streams()
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.UsageError as error:
            show_usage(error)
            code = USAGE
        except click.ClickException as error:
            click.echo(f"error: {error.format_message()}", err=True)
            code = FAILED
        except MergecError as error:
            show_error(error)
            code = FAILED
        except (click.Abort, KeyboardInterrupt):
            show_interrupted()
            code = INTERRUPTED
        except Stopped as stopped:
            show_interrupted()
            code = stopped.code
        except OSError as error:
            _show_os_error(error)
            code = FAILED
        except Exception as error:
            show_unexpected(error)
            code = FAILED
        sys.exit(code if isinstance(code, int) else 0)


def _show_os_error(error: OSError) -> None:
    """Print what the machine refused; nothing where nobody reads our output any more."""
    if error.errno == errno.EPIPE:
        forget_stdout()
    elif error.filename is not None:
        show_error(RunError.of("E0603", f"{error.filename}: {error.strerror}"))
    elif is_from_stdout(error):
        forget_stdout()
        show_error(RunError.of("E0603", f"can't write to stdout: {error.strerror}"))
    else:
        show_unexpected(error)


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", prog_name="mergec", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Compile recipes for merging language models, plan them, and run them as a stream."""
    if "NO_COLOR" in os.environ:
        ctx.color = False
