"""Keys, certificates and kubeconfigs, by the openssl command: nothing to install for a cluster of an hour."""

import base64
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.cluster.errors import ClusterError

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = "3650"


def _openssl(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"openssl {arguments[0]}: {done.stderr.strip()}")


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "ca.crt"

    def create(self) -> None:
        """Make the authority's and the service accounts' keys; once per cluster."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        subject = ("-subj", "/CN=pantala-test-ca", "-keyout", "ca.key", "-out", "ca.crt", "-days", _DAYS)
        _openssl("req", "-x509", *_CURVE, *subject, cwd=self.folder)
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key", cwd=self.folder)
        _openssl("ec", "-in", "sa.key", "-pubout", "-out", "sa.pub", cwd=self.folder)

    def issue(self, file: str, name: str, groups: Sequence[str] = (), alternatives: Sequence[str] = ()) -> Path:
        """Issue `file`.crt and `file`.key; name is the user (CN), groups are O; return the certificate.

        Args:
            file: base name of both files.
            name: common name, which Kubernetes takes as the user name.
            groups: organisations, which Kubernetes takes as groups.
            alternatives: `IP:...` and `DNS:...` of a server.
        """
        extensions = "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth,serverAuth\n"
        if alternatives:
            extensions += f"subjectAltName={','.join(alternatives)}\n"
        (self.folder / f"{file}.ext").write_text(extensions)
        request(self.folder, file, name, groups)
        serial = "0x" + os.urandom(16).hex()  # no serial file: two processes may issue at once
        sign = ("-in", f"{file}.csr", "-out", f"{file}.crt", "-extfile", f"{file}.ext", "-days", _DAYS)
        _openssl("x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", serial, *sign, cwd=self.folder)
        return self.folder / f"{file}.crt"

    def kubeconfig(self, path: Path, server: str, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig with a client certificate of its own for a user; it needs no other file."""
        file = re.sub(r"[^A-Za-z0-9.-]", "_", f"client-{path.name}-{user}")
        certificate = self.issue(file, user, groups)
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate)}
        login = {
            "client-certificate-data": _encoded(certificate),
            "client-key-data": _encoded(certificate.with_suffix(".key")),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file_:
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "pantala", "cluster": cluster}],
                    "users": [{"name": user, "user": login}],
                    "contexts": [{"name": "pantala", "context": {"cluster": "pantala", "user": user}}],
                    "current-context": "pantala",
                },
                file_,
            )
        return path


def request(folder: Path, file: str, name: str, groups: Sequence[str] = ()) -> tuple[Path, Path]:
    """Make `file`.key and the signing request `file`.csr of a user or a server; return both."""
    subject = "".join(f"/O={group}" for group in groups) + f"/CN={name}"
    _openssl("req", *_CURVE, "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", subject, cwd=folder)
    (folder / f"{file}.key").chmod(0o600)
    return folder / f"{file}.key", folder / f"{file}.csr"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
