"""Builds the programs of the tests, once, into the user's cache: from Go modules here, from crates in `cargo.py`.

Every folder under `go/` is a module of our own whose `tool` lines name what is built: Kubernetes and etcd refuse
`go install` because of their replace directives. All are built with one set of flags, because another set reuses
nothing of Go's build cache.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cache, toolchain
from tests.cluster.cargo import Crate
from tests.cluster.errors import ClusterError
from tests.cluster.progress import run_shown, say

_GO = Path(__file__).parent / "go"
_K8S = "k8s.io/kubernetes"


@dataclass(frozen=True)
class Tool:
    """One program: where its go.mod is, what is built, and the module whose version it carries."""

    name: str
    folder: str
    package: str
    module: str
    assets: tuple[str, ...] = ()
    """Folders of the module that are copied beside the program (paths inside the module)."""
    stamp: str = ""
    """What the linker writes into the program, as `variable=value`: the version that it says it has."""

    @property
    def version(self) -> str:
        """Version of the module in go.mod, with its `v`."""
        return _required(self.folder, self.module)

    @property
    def key(self) -> str:
        """Name of the cache entry: program, version and a hash of all that decides its content."""
        inputs = hashlib.sha256()
        for file in ("go.mod", "go.sum"):
            inputs.update((_GO / self.folder / file).read_bytes())
        inputs.update(repr((self.package, self.assets, build_environment()["CGO_ENABLED"], _ldflags(self))).encode())
        return f"{self.name}-{self.version}-{inputs.hexdigest()[:12]}"

    @property
    def path(self) -> Path:
        """Where the program is once it is built."""
        return cache.cache_root() / self.key / self.name

    def make(self, folder: Path, title: str) -> None:
        """Build the program into a folder.

        Raises:
            ClusterError: no Go that is new enough, or a failed build.
        """
        go, env = str(toolchain.go()), build_environment()
        jobs = ("-p", str(toolchain.jobs()))
        command = (go, "build", *jobs, "-ldflags", _ldflags(self), "-o", str(folder / self.name), self.package)
        run_shown(title, command, cwd=_GO / self.folder, env=env, log=folder / "build.log")
        for asset in self.assets:
            _copy(toolchain.module_folder(go, self.module, _GO / self.folder, env) / asset, folder / Path(asset).name)


@dataclass(frozen=True)
class Files:
    """Files of a module that another program is built with: nothing is compiled, and they are of that program's release."""

    name: str
    folder: str
    module: str
    asset: str
    """Folder of the module."""

    @property
    def version(self) -> str:
        """Version of the module in go.mod, with its `v`."""
        return _required(self.folder, self.module)

    @property
    def key(self) -> str:
        """Name of the cache entry: name, version and a hash of what is copied."""
        return f"{self.name}-{self.version}-{hashlib.sha256(self.asset.encode()).hexdigest()[:12]}"

    @property
    def path(self) -> Path:
        """Where the folder is once it is copied."""
        return cache.cache_root() / self.key / Path(self.asset).name

    def make(self, folder: Path, title: str) -> None:
        """Copy the files into a folder, downloading the module first.

        Raises:
            ClusterError: no Go that is new enough, or the module cannot be had.
        """
        go, env, where = str(toolchain.go()), build_environment(), _GO / self.folder
        run_shown(title, (go, "mod", "download", self.module), cwd=where, env=env, log=folder / "build.log")
        _copy(toolchain.module_folder(go, self.module, where, env) / self.asset, folder / Path(self.asset).name)


def _required(folder: str, module: str) -> str:
    text = (_GO / folder / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ClusterError(f"{folder}/go.mod does not require {module}")
    return found.group(1)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only


def _keda(name: str) -> Tool:
    module = "github.com/kedacore/keda/v2"
    assets = ("config/crd/bases",) if name == "operator" else ()
    stamp = f"{module}/version.Version=v2.21.0"
    return Tool(f"keda-{name}", "keda", f"{module}/cmd/{name}", module, assets, stamp)


def _kubernetes(name: str, folder: str = "kubernetes-1.36", alias: str = "") -> Tool:
    return Tool(alias or name, folder, f"{_K8S}/cmd/{name}", _K8S)


TOOLS: dict[str, Tool | Crate | Files] = {
    tool.name: tool
    for tool in (
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kube-controller-manager"),
        _kubernetes("kube-scheduler"),
        _kubernetes("kubectl"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", "sigs.k8s.io/kwok", ("kustomize/stage",)),
        Tool("helm", "helm", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3"),
        Tool(
            "kubeconform", "kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "github.com/yannh/kubeconform"
        ),
        _kubernetes("kube-apiserver", "kubernetes-1.31", "kube-apiserver-1.31"),
        Tool(
            "istiod",
            "istiod",
            "istio.io/istio/pilot/cmd/pilot-discovery",
            "istio.io/istio",
            ("manifests/charts/base/files",),  # crd-all.gen.yaml
            stamp="istio.io/istio/pkg/version.buildVersion=1.31.0",
        ),
        Files("gateway-api", "istiod", "sigs.k8s.io/gateway-api", "config/crd/standard"),
        Tool(
            "prometheus-adapter",
            "prometheus-adapter",
            "sigs.k8s.io/prometheus-adapter/cmd/adapter",
            "sigs.k8s.io/prometheus-adapter",
            ("deploy/manifests",),  # its rights
        ),
        Tool(  # its go.mod has the versions of KEDA's: what both need is compiled once
            "metrics-server",
            "metrics-server",
            "sigs.k8s.io/metrics-server/cmd/metrics-server",
            "sigs.k8s.io/metrics-server",
            ("manifests/base",),  # its rights
        ),
        Tool(
            "prometheus-operator",
            "prometheus-operator",
            "github.com/prometheus-operator/prometheus-operator/cmd/operator",
            "github.com/prometheus-operator/prometheus-operator",
            ("example/prometheus-operator-crd", "example/rbac"),  # its CRDs, its rights
        ),
        _keda("adapter"),
        _keda("operator"),
        Files("keda-config", "keda", "github.com/kedacore/keda/v2", "config"),  # its rights
        Crate("dfdaemon", "dfdaemon", "dragonfly-client", ("dfdaemon", "dfget")),
        Tool("versitygw", "versitygw", "github.com/versity/versitygw/cmd/versitygw", "github.com/versity/versitygw"),
        Tool(
            "fake-gcs-server",
            "fake-gcs-server",
            "github.com/fsouza/fake-gcs-server",
            "github.com/fsouza/fake-gcs-server",
        ),
    )
}
"""Every program that can be built, in the order in which a fresh machine should build them."""

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE = ("kubelet", "kube-proxy")
KWOK = ("kwok",)
MESH = ("istiod", "gateway-api")
ADAPTER = ("prometheus-adapter", "metrics-server", "prometheus-operator")
KEDA = ("keda-adapter", "keda-operator", "keda-config")
P2P = ("dfdaemon", "versitygw", "fake-gcs-server")
_ASSETS = ("etcd", "kube-apiserver", "kubectl")
"""What a folder named by KUBEBUILDER_ASSETS holds."""


def build_environment() -> dict[str, str]:
    """Environment of every `go` call: one set of flags for all programs."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    env = {key: value for key, value in os.environ.items() if key not in ("GOOS", "GOARCH", "GOWORK")}
    # cgo costs nothing where there is a compiler, and without one the build would stop
    return env | {"CGO_ENABLED": "1" if compiler else "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


def _ldflags(tool: Tool) -> str:
    if tool.module != _K8S:
        return f"-s -w -X {tool.stamp}" if tool.stamp else "-s -w"
    major, minor = tool.version.removeprefix("v").split(".")[:2]
    variable = "-X k8s.io/component-base/version."
    # without these the server calls itself v0.0.0 and clients and Helm misjudge it
    return f"-s -w {variable}gitVersion={tool.version} {variable}gitMajor={major} {variable}gitMinor={minor}"


def prebuilt(name: str) -> Path | None:
    """The program in the folder that KUBEBUILDER_ASSETS names, if it is set and holds it."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder or name not in _ASSETS:
        return None
    path = Path(folder) / name
    return path if os.access(path, os.X_OK) else None


def is_built(name: str) -> bool:
    """Whether a program can be used at once."""
    return prebuilt(name) is not None or TOOLS[name].path.exists()


def ensure(names: Iterable[str]) -> dict[str, Path]:
    """Build what is missing of the named programs, with progress; return the path of each.

    Raises:
        ClusterError: an unknown name, no Go, or a failed build.
    """
    names = list(names)
    unknown = [name for name in names if name not in TOOLS]
    if unknown:
        raise ClusterError(f"unknown program {', '.join(unknown)}; there are {', '.join(TOOLS)}")
    missing = [name for name in names if not is_built(name)]
    for number, name in enumerate(missing, 1):
        _build(TOOLS[name], f"[{number}/{len(missing)}] {name} {TOOLS[name].version}")
    return {name: prebuilt(name) or TOOLS[name].path for name in names}


def _build(tool: Tool | Crate | Files, title: str) -> None:
    def make(folder: Path) -> None:
        say(f"{title}: building, once per version")
        tool.make(folder, title)

    cache.entry(tool.key, make)
