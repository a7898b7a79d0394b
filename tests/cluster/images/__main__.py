"""`python -m tests.cluster.images build [NAME...]` and `list`."""

import argparse

from tests.cluster.images import IMAGES, archive_of, ensure


def main() -> None:
    """Build images into the cache or say where they are."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.images", description=main.__doc__)
    parser.add_argument("command", choices=("build", "list"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(IMAGES)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(IMAGES):
        parser.error(f"no such image: {', '.join(sorted(unknown))}")
    for name in arguments.names or IMAGES:
        if arguments.command == "build":
            print(ensure(name))
        else:
            path = archive_of(name)
            size = f"{path.stat().st_size / 1e6:.0f} MB" if path.is_file() else "not built"
            print(f"{name}\t{IMAGES[name].reference}\t{size}\t{path}")


main()
