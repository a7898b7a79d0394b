"""Builds programs of Rust crates into the user's cache.

Every folder under `rust/` is a package of our own that only pins: its Cargo.lock began as the crate's own lock file, so
what is built is what its authors tested. Cargo's target folder is kept until the build succeeds: one that is killed
goes on where it was.
"""

import hashlib
import os
import platform
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cache, toolchain
from tests.cluster.errors import ClusterError
from tests.cluster.progress import run_shown, say

_RUST = Path(__file__).parent / "rust"
_MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_ROCKSDB = "10.4.2"
"""Version that the crate librocksdb-sys of Cargo.lock carries."""
_ROCKSDB_JAR = "34a9b9ab5bdb128c058363d72a83ab5d0a498a97df9cf1291f1a6e9260bb70b1"
"""sha256 of org.rocksdb:rocksdbjni:10.4.2:linux64."""

_PROTO = "/usr/include/google/protobuf/duration.proto"


@dataclass(frozen=True)
class Crate:
    """Programs of one crate: a folder with Cargo.toml and Cargo.lock that depends on it."""

    name: str
    folder: str
    crate: str
    programs: tuple[str, ...]
    """All that is built; the first is `name`, the others lie beside it."""

    @property
    def version(self) -> str:
        """Version of the crate in Cargo.lock, with a `v` before it as Go's."""
        text = (_RUST / self.folder / "Cargo.lock").read_text()
        found = re.search(rf'^name = "{re.escape(self.crate)}"\nversion = "([^"]+)"', text, re.MULTILINE)
        if not found:
            raise ClusterError(f"{self.folder}/Cargo.lock does not hold {self.crate}")
        return f"v{found.group(1)}"

    @property
    def key(self) -> str:
        """Name of the cache entry: program, version and a hash of all that decides its content."""
        inputs = hashlib.sha256()
        for file in ("Cargo.toml", "Cargo.lock"):
            inputs.update((_RUST / self.folder / file).read_bytes())
        inputs.update(repr((self.programs, _ROCKSDB_JAR)).encode())
        return f"{self.name}-{self.version}-{inputs.hexdigest()[:12]}"

    @property
    def path(self) -> Path:
        """Where the program is once it is built."""
        return cache.cache_root() / self.key / self.name

    def make(self, folder: Path, title: str) -> None:
        """Build the programs into a folder.

        Raises:
            ClusterError: no Rust that is new enough, a missing Debian package, or a failed build.
        """
        cargo = toolchain.cargo()
        if packages := missing_packages():
            raise ClusterError(f"{self.name} needs programs to build: apt-get install {' '.join(packages)}")
        root = cache.cache_root()
        target = root / f".{self.name}.target"
        log = folder / "build.log"
        with cache.locked(root / ".locks" / f"{self.name}.target.lock"):  # another version uses the same folder
            env = _environment(target)
            if library := _rocksdb(target / "rocksdb", title, log):
                env["ROCKSDB_LIB_DIR"] = str(library.parent)
                shutil.copyfile(library, folder / library.name)
            programs = [word for program in self.programs for word in ("--bin", program)]
            command = (str(cargo), "build", "--release", "--locked", "--jobs", str(toolchain.jobs()))
            command = (*command, "--package", self.crate, *programs)
            run_shown(title, command, cwd=_RUST / self.folder, env=env, log=log)
            for program in self.programs:
                shutil.copy(target / "release" / program, folder / program)
            shutil.rmtree(target, ignore_errors=True)


def missing_packages() -> list[str]:
    """Debian packages that a build needs and this machine lacks, whatever their programs are for."""
    found = {
        "protobuf-compiler": shutil.which("protoc"),
        "libprotobuf-dev": Path(_PROTO).exists(),
        "g++": shutil.which("g++") or shutil.which("c++"),
        "make": shutil.which("make"),
        "libclang1-14 libclang-common-14-dev": os.environ.get("LIBCLANG_PATH")
        or any(Path("/usr/lib").glob("llvm-*/lib/libclang*.so*")),
    }
    return sorted(package for packages, there in found.items() if not there for package in packages.split())


def _environment(target: Path) -> dict[str, str]:
    own = ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS")
    env = {key: value for key, value in os.environ.items() if key not in own}
    # the program finds the library that lies beside it
    return env | {"CARGO_TARGET_DIR": str(target), "RUSTFLAGS": "-C link-arg=-Wl,-rpath,$ORIGIN"}


def _rocksdb(folder: Path, title: str, log: Path) -> Path | None:
    """RocksDB as a shared library: Java's package carries one that exports the C functions too, for x86-64.

    Without Maven there is None, and RocksDB is compiled as well: it is the largest single part.
    """
    library = folder / "librocksdb.so"
    maven = shutil.which("mvn")
    if library.exists():
        return library
    if not maven or platform.machine() != "x86_64":
        say(f"{title}: no mvn on PATH (Debian: maven), so RocksDB is compiled too, which doubles the time")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    artifact = f"-Dartifact=org.rocksdb:rocksdbjni:{_ROCKSDB}:jar:linux64"
    command = (maven, "-q", "-B", _MAVEN, artifact, f"-DoutputDirectory={folder}")
    run_shown(f"{title}: RocksDB", command, cwd=folder, env=os.environ, log=log)
    jar = folder / f"rocksdbjni-{_ROCKSDB}-linux64.jar"
    with jar.open("rb") as archive:
        digest = hashlib.file_digest(archive, "sha256").hexdigest()
    if digest != _ROCKSDB_JAR:
        jar.unlink()
        raise ClusterError(f"{jar.name} has sha256 {digest}, not {_ROCKSDB_JAR}")
    with zipfile.ZipFile(jar) as archive:
        partial = folder / "partial"
        partial.write_bytes(archive.read("librocksdbjni-linux64.so"))
    jar.unlink()
    return partial.rename(library)
