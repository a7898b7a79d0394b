"""Credentials: read from the environment or from mounted files, and kept out of everything that is written.

A message is composed by us, but parts of it come from stores, libraries and users. So the last thing that happens to
any text before it leaves the process is that known secrets, user-info in URLs and signatures are replaced.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from pantala.errors import FetchFailure
from pantala.fetcher.errors import FetchError
from pantala.storage.registry import KEYS

NAMES = KEYS
"""Variables, and files in `--credentials DIR`, that are read."""
_HIDDEN = "***"
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")
_SIGNED = re.compile(
    r"(?i)((?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|q-signature|signature|sig"
    r"|accesskeyid|(?:security|access)[-_]?token|delegation|authorization)[=:]\s*)[^\s&\"']+"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [^-]+-----.*?(-----END [^-]+-----|$)", re.DOTALL)
_SHORTEST = 3
_LINE = 20


@dataclass(frozen=True)
class Credentials:
    """What the stores need; never shown, not even by repr."""

    values: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str | None:
        """The value of a name in NAMES, or None if it is absent or empty."""
        return self.values.get(name) or None

    def redact(self, text: str) -> str:
        """Replace every secret in a text that is about to be written."""
        for value in sorted(self._forms(), key=len, reverse=True):
            text = text.replace(value, _HIDDEN)
        return redact_unknown(text)

    def _forms(self) -> set[str]:
        plain = {value for value in self.values.values() if len(value) >= _SHORTEST}
        basic = f"{self.values.get('HTTP_USERNAME', '')}:{self.values.get('HTTP_PASSWORD', '')}"
        if len(basic) > _SHORTEST:
            plain.add(base64.b64encode(basic.encode()).decode())
        for part in self._google():
            plain |= {part, part.replace("\n", "\\n"), *(line for line in part.splitlines() if len(line) > _LINE)}
        return plain | {quote(value, safe="") for value in plain}

    def _google(self) -> list[str]:
        """What is secret within the key file of a service account; the file as a whole is shown by nobody."""
        try:
            content = json.loads(self.values.get("GOOGLE_CREDENTIALS", ""))
        except ValueError:
            return []
        names = ("private_key", "private_key_id", "client_secret", "refresh_token")
        found = [content.get(name) for name in names] if isinstance(content, dict) else []
        return [value for value in found if isinstance(value, str) and len(value) >= _SHORTEST]


def redact_unknown(text: str) -> str:
    """Replace what looks like a secret wherever it comes from: user-info in URLs, signatures."""
    text = _PRIVATE_KEY.sub(_HIDDEN, text)
    return _SIGNED.sub(rf"\g<1>{_HIDDEN}", _USER_INFO.sub(f"{_HIDDEN}@", text))


def load(environ: Mapping[str, str], folder: Path | None) -> Credentials:
    """Read credentials; a file wins over a variable.

    Raises:
        FetchError: the folder cannot be read.
    """
    values = {name: environ[name] for name in NAMES if environ.get(name)}
    if folder is None:
        return Credentials(values)
    for name in NAMES:
        try:
            value = (folder / name).read_text().strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            message = (
                f"{folder / name} cannot be read ({type(error).__name__}); mount the Secret readable for the fetcher"
            )
            raise FetchError(FetchFailure.INVALID, message) from None
        if value:
            values[name] = value
    if not folder.is_dir():
        message = f"{folder} is no folder; mount the Secret there or leave --credentials out"
        raise FetchError(FetchFailure.INVALID, message)
    return Credentials(values)
