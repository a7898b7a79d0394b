"""Rendering of configuration files: values of users become text of the file's own language, never structure of it."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F
_PROPERTY_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
_KEY_ESCAPES = _PROPERTY_ESCAPES | {mark: f"\\{mark}" for mark in " =:#!"}


def property_key(text: str) -> str:
    """A key of a Java properties file (java.util.Properties.load): nothing in it ends the key or the line."""
    return _properties(text, _KEY_ESCAPES)


def property_value(text: str) -> str:
    """A value of a Java properties file: one line, read back as it is. `$$NAME$$` is TorchServe's own and stays."""
    escaped = _properties(text, _PROPERTY_ESCAPES)
    # Leading blanks would be taken as part of the separator.
    return "\\" + escaped if escaped.startswith(" ") else escaped


def _properties(text: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(mark) or (mark if " " <= mark <= "~" else _utf16(mark)) for mark in text)


def _utf16(mark: str) -> str:
    """The file is read as Latin-1; everything else is written as Java's UTF-16 escapes."""
    units = mark.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def pbtxt_string(text: str) -> str:
    """A quoted string of protobuf's text format; every byte that is not plain ASCII is an octal escape."""
    out = []
    for byte in text.encode():
        mark = chr(byte)
        if mark in '"\\':
            out.append("\\" + mark)
        elif _FIRST_PRINTABLE <= byte < _DELETE:
            out.append(mark)
        else:
            out.append(f"\\{byte:03o}")
    return f'"{"".join(out)}"'


def python_string(text: str) -> str:
    """A literal of Python's."""
    return ascii(text)


# Not HTML: escaping is that of each file's language, by the filters below.
_ENVIRONMENT = Environment(  # noqa: S701
    loader=PackageLoader("pantala.runtimes", "templates"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters |= {
    "property_key": property_key,
    "property_value": property_value,
    "pbtxt_string": pbtxt_string,
    "python_string": python_string,
}


def render(template: str, **values: Any) -> str:
    """The text of a template of this package; a value that the template names and nobody gives is an error.

    Raises:
        jinja2.UndefinedError: The template uses a value that was not given.
    """
    return _ENVIRONMENT.get_template(template).render(**values)
