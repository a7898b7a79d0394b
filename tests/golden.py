"""Golden files: what a builder returns, as YAML under tests/data, rewritten by `pytest --update-golden` and reviewed in the diff."""

from pathlib import Path
from typing import Any

import pytest
import yaml

DATA = Path(__file__).parent / "data"

_update = False


class _Dumper(yaml.SafeDumper):
    """Writes no anchors and texts of several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the flag; `tests/conftest.py` loads this module as a plugin."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the files under tests/data")


def pytest_configure(config: pytest.Config) -> None:
    """Remember the flag."""
    global _update  # noqa: PLW0603 - the helper is called without a fixture
    _update = bool(config.getoption("--update-golden", default=False))


def assert_golden(path: str, value: Any) -> None:
    """Compare a value with `tests/data/<path>`: text as it is, everything else as YAML.

    Args:
        path: Path below tests/data, such as `triton-plain/container.yaml`.
        value: What was built.
    """
    file = DATA / path
    plain = isinstance(value, str)
    text = value if plain else yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120)
    if _update:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"{file} does not exist: run pytest with --update-golden and review it"
    if plain:
        assert value == file.read_text()
    else:
        # As values: the order of keys means nothing, and the order of lists does.
        assert yaml.safe_load(text) == yaml.safe_load(file.read_text())
