"""The command `pantala`; each subcommand is a module of its own, imported when it is asked for.

The fetcher starts in every model pod: what only the operator needs is not imported for it.
"""

from __future__ import annotations

import importlib
from typing import Any

import click
from typing_extensions import override

from pantala.cli import examples, failures

_COMMANDS = {
    "digest": "Print the digest of the weights under a URI.",
    "doctor": "Find out why weights do not come from peers.",
    "fetch": "Bring the weights of a model into a folder (the init container).",
    "gpus": "Show what each node offers of GPUs, and what is taken.",
    "operator": "Run the operator.",
    "refresh": "Render a model with today's default images.",
    "render": "Print what a resource becomes, without a cluster.",
    "status": "Show models, versions, replicas and what is in their way.",
    "top": "Show how busy models are, and what their autoscalers want.",
    "validate": "Check resources in files, typos included.",
}


class _Lazy(click.Group):
    """Subcommands by name, imported on demand."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"pantala.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        command.epilog = examples.epilog(cmd_name)
        return command

    @override
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if failure := failures.explain(error):
                raise failure from error
            raise  # A defect: its traceback is what a report of it needs.

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(
    cls=_Lazy,
    epilog=examples.epilog(""),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="pantala")
def main(**_: Any) -> None:
    """Serve models on Kubernetes, and see how they are.

    Exit codes: 0 done; 1 an answer that is not good (not valid, different, not ready); 2 the command itself failed.
    `pantala fetch` and `pantala digest` have codes of their own.
    """
