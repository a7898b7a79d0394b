"""Links of the documentation lead somewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("*.md"),
        *(ROOT / "changelog.d").glob("*.md"),
        *ROOT.glob("tests/**/*.md"),
    ]
)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def _anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings as GitHub makes them: no punctuation, dashes for spaces, a number for the same again."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _FENCE.sub("", page.read_text()), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


def _links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and its anchor a heading there."""
    # A fragment of the changelog becomes a part of a page at the top.
    base = ROOT if page.parent.name == "changelog.d" else page.parent
    dead = []
    for target in _links(page):
        name, _, anchor = target.partition("#")
        file = (base / name).resolve() if name else page
        if not file.exists() or (anchor and (file.suffix != ".md" or anchor not in _anchors(file))):
            dead.append(target)
    assert dead == []


def test_anchors_are_githubs() -> None:
    """Punctuation goes, and a heading that comes again gets a number."""
    found = _anchors(ROOT / "docs/reference.md")
    assert "statusversionsreplicas" in found
    assert "pantala-render" in _anchors(ROOT / "docs/cli.md")


def test_there_are_links() -> None:
    """The pages are read as they are written: a page that explains more than it can hold links to others."""
    assert len(list(_links(ROOT / "README.md"))) > 15
