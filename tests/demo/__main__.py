"""`python -m tests.demo up|down|store`: see `make demo`."""

import argparse
import sys

from tests.cluster.errors import ClusterError
from tests.demo import show, steps


def main() -> int:
    """Run the demo, or remove it."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "store"), help="store: the S3 server of the demo's cluster")
    command = parser.parse_args().command
    try:
        {"up": steps.up, "down": steps.down, "store": steps.store}[command]()
    except ClusterError as error:
        show.failed(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
