"""Write the chart's dashboards out of their panels, which are defined here in a tenth of the lines.

`python charts/dashboards` writes; with `--check` it only says what differs, and exits 1.
"""

import json
import sys
from pathlib import Path

import fleet
import model

FOLDER = Path(__file__).parents[1] / "pantala/files/dashboards"


def main() -> int:
    """Command line."""
    made = {
        f"{name}.json": json.dumps(build(), indent=1) + "\n"
        for name, build in (("fleet", fleet.build), ("model", model.build))
    }
    there = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    if "--check" in sys.argv[1:]:
        for name in (different := sorted(name for name in made | there if made.get(name) != there.get(name))):
            sys.stderr.write(f"{FOLDER.name}/{name} differs from its panels: run `python charts/dashboards`\n")
        return 1 if different else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
