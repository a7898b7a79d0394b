"""The table of vendors' examples in docs/accelerators.md: `python -m tests.accelerators.table` writes it anew."""

import re
from pathlib import Path

import yaml

from tests.accelerators.examples import EXAMPLES, Example

PAGE = Path(__file__).parents[2] / "docs" / "accelerators.md"
_PLACE = re.compile(r"(?<=<!-- examples: python -m tests.accelerators.table -->\n).*?(?=<!-- /examples -->)", re.DOTALL)


def as_markdown() -> str:
    """All examples, a table for each vendor."""
    parts = []
    for vendor in dict.fromkeys(example.vendor for example in EXAMPLES):
        rows = "".join(_row(example) for example in EXAMPLES if example.vendor == vendor)
        head = "| example | the vendor's | `accelerator` | what differs |\n|---|---|---|---|\n"
        parts.append(f"\n### {vendor}\n\n{head}{rows}")
    return "".join(parts) + "\n"


def page() -> str:
    """The page with the tables as they shall be."""
    found, count = _PLACE.subn(lambda _: as_markdown(), PAGE.read_text())
    assert count == 1, f"{PAGE} has no place for the table, or two"
    return found


def _row(example: Example) -> str:
    theirs = yaml.safe_load(example.theirs)
    ours = yaml.safe_load(example.ours)
    lines = [f"{key}: {_flow(value)}" for key, value in theirs.items()]
    return f"| [{example.title}]({example.link}) | {_code(lines)} | {_code([_flow(ours)])} | {example.why} |\n"


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()


def _code(lines: list[str]) -> str:
    return "<br>".join(f"`{line}`" for line in lines).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
