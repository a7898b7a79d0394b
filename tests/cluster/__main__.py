"""Command line of the local Kubernetes."""

import argparse
import json
import sys

from tests.cluster import build, cleanup, cluster
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.kind import KindCluster
from tests.cluster.progress import say
from tests.cluster.spec import ClusterSpec, Paths

_EPILOG = """examples:
  python -m tests.cluster up                      control plane only; needs no root
  python -m tests.cluster up --kwok 20            and 20 simulated nodes with GPUs
  sudo python -m tests.cluster up --nodes 1       a real node with real pods
  export KUBECONFIG=$(python -m tests.cluster kubeconfig)
  python -m tests.cluster down --all              leaves nothing behind, also after a crash

Programs are built once from Go modules into $XDG_CACHE_HOME/pantala (about 6 minutes on two cores).
KUBEBUILDER_ASSETS may name a folder with etcd, kube-apiserver and kubectl to use instead.
"""


def _parser() -> argparse.ArgumentParser:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m tests.cluster", description=__doc__, epilog=_EPILOG, formatter_class=shape
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start a cluster and leave it running until `down`")
    up.add_argument("--name", default="pantala", help="name of the cluster; several can run side by side (%(default)s)")
    up.add_argument("--nodes", type=int, default=0, metavar="N", help="real nodes: containers, traffic; needs root (0)")
    up.add_argument("--kwok", type=int, default=0, metavar="N", help="simulated nodes with 8 nvidia.com/gpu each (0)")
    up.add_argument(
        "--provider", choices=("embedded", "kind"), default="embedded", help="kind needs Docker (%(default)s)"
    )
    up.add_argument(
        "--images", nargs="*", default=[], metavar="IMAGE", help="images to load: pantala, triton, torchserve"
    )
    up.add_argument("--audit", nargs="?", const="Metadata", default="", metavar="LEVEL", help="write an audit log")
    up.add_argument("--scale", action="store_true", help="more workers, etcd in memory, no eviction: for benchmarks")
    up.add_argument("--version", default="", choices=("", "1.31"), help="an older API server")
    down = commands.add_parser("down", help="remove a cluster and everything that belongs to it")
    down.add_argument("--name", default="pantala")
    down.add_argument("--all", action="store_true", help="every cluster of this user, and the remains of dead ones")
    down.add_argument("--provider", choices=("embedded", "kind"), default="embedded")
    status = commands.add_parser("status", help="list the clusters")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    config = commands.add_parser(
        "kubeconfig", help="print the path of a kubeconfig, of the administrator or of any user"
    )
    config.add_argument("--name", default="pantala")
    config.add_argument("--user", help="of this user instead of the administrator; RBAC decides what it may do")
    config.add_argument("--group", action="append", default=[], help="group of that user; may be repeated")
    make = commands.add_parser("build", help="build programs into the cache")
    make.add_argument(
        "tools", nargs="*", metavar="TOOL", help=f"default: what a cluster needs; of {', '.join(build.TOOLS)}"
    )
    return parser


def _up(options: argparse.Namespace) -> None:
    if options.provider == "kind":
        made = KindCluster.start(options.name)
        for image in options.images:
            made.load_named(image)
        print(f"export KUBECONFIG={made.kubeconfig}")
        return
    spec = ClusterSpec(
        name=options.name,
        nodes=options.nodes,
        kwok=options.kwok,
        images=tuple(options.images),
        audit=options.audit,
        scale=options.scale,
        version=options.version,
        controllers=not options.version,  # those of another release would not fit
    )
    say(f"cluster {spec.name}: {spec.nodes} real and {spec.kwok} simulated nodes")
    started = Cluster.start(spec, keep=True)
    say(f"ready after {started.seconds['ready']} s (API server {started.seconds['api']} s): {started.api_url}")
    for name, address in zip(started.node_names, started.node_ips, strict=True):
        say(f"  node {name} {address}: NodePorts, pods and Services are reachable from this machine")
    if not spec.nodes:
        say("  no real nodes: pods do not run (--nodes N as root makes some)")
    print(f"export KUBECONFIG={started.kubeconfig}")


def _down(options: argparse.Namespace) -> None:
    if options.provider == "kind":
        KindCluster(options.name).stop()
        return
    names = cleanup.names() if options.all else [options.name]
    for name in names:
        say(f"cluster {name}: removed" if cluster.stop(name) else f"cluster {name}: there is none")
    if not names:
        say("no clusters")


def _status(options: argparse.Namespace) -> None:
    rows = []
    for name in cleanup.names():
        paths = Paths.of(name)
        if not cleanup.is_alive(paths):
            rows.append({"name": name, "state": "dead", "hint": f"python -m tests.cluster down --name {name}"})
        elif not paths.facts.exists():
            rows.append({"name": name, "state": "starting", "logs": str(paths.log)})
        else:
            it = Cluster.attach(name)
            row = {"name": name, "state": it.problem() or "up", "url": it.api_url, "kubeconfig": str(it.kubeconfig)}
            rows.append({**row, "nodes": it.spec.nodes, "kwok": it.spec.kwok})
    if options.output == "json":
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        print("  ".join(f"{key}={value}" if key != "name" else str(value) for key, value in row.items()))
    if not rows:
        say("no clusters")


def _kubeconfig(options: argparse.Namespace) -> None:
    found = Cluster.attach(options.name)
    print(found.user(options.user, options.group) if options.user else found.kubeconfig)


def _build(options: argparse.Namespace) -> None:
    names = options.tools or (*build.CONTROL_PLANE, *build.NODE, *build.KWOK)
    for name, path in build.ensure(names).items():
        print(f"{name} {path}")


def main() -> int:
    """Run one command; 0 on success, 1 with a message on failure, 130 on ^C."""
    options = _parser().parse_args()
    commands = {"up": _up, "down": _down, "status": _status, "kubeconfig": _kubeconfig, "build": _build}
    try:
        commands[options.command](options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
