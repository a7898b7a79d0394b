"""Copy crds/, the single source, into the chart: Helm reads nothing outside of a chart's folder.

`python charts/sync-crds.py` copies; with `--check` it only says what differs, and exits 1 (`make crds` and the tests).
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "crds"
COPY = ROOT / "charts/pantala/files/crds"


def drift() -> list[str]:
    """Names of the files that differ between source and copy."""
    names = {path.name for folder in (SOURCE, COPY) for path in folder.glob("*.yaml")}
    return sorted(name for name in names if _read(SOURCE / name) != _read(COPY / name))


def sync() -> None:
    """Make the copy equal."""
    COPY.mkdir(parents=True, exist_ok=True)
    for name in drift():
        content = _read(SOURCE / name)
        if content is None:
            (COPY / name).unlink()
        else:
            (COPY / name).write_bytes(content)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    """Command line."""
    if "--check" not in sys.argv[1:]:
        sync()
        return 0
    for name in (different := drift()):
        sys.stderr.write(
            f"{COPY.relative_to(ROOT)}/{name} differs from crds/{name}: run `python charts/sync-crds.py`\n"
        )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
