"""A command that only takes the options of an installation: what settings they make."""

import click
from click.testing import CliRunner, Result

from pantala.cli import options
from pantala.manifest.settings import Settings

_GIVEN: list[Settings] = []


@click.command()
@options.installation
@options.prometheus
def show(settings: Settings) -> None:
    """A command that takes settings, and asks Prometheus."""
    _GIVEN.append(settings)


def run(*arguments: str, **environment: str) -> Result:
    """Run it; the environment has nothing else of ours."""
    return CliRunner().invoke(show, arguments, env={f"PANTALA_{name}": text for name, text in environment.items()})


def settings(*arguments: str, **environment: str) -> Settings:
    """The settings that options and variables make."""
    result = run(*arguments, **environment)
    assert result.exit_code == 0, result.output
    return _GIVEN.pop()
