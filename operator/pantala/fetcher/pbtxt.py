"""One change to a Triton `config.pbtxt` of the user: its `name` becomes the folder's, all else stays as written.

Triton refuses a model whose configuration names another folder. The file is protobuf text, so fields called `name` also
occur in nested messages, strings and comments; only the one at the top counts.
"""

import re

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<open>[{\[<])
      | (?P<close>[}\]>])
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<other>[^\s])""",
    re.VERBOSE,
)


def rename(text: str, name: str) -> str:
    """Set the top-level `name`; a configuration without one is left alone, Triton takes the folder's name.

    Args:
        text: the configuration.
        name: letters, digits, `_`, `.` and `-`.
    """
    depth = 0
    spans: list[tuple[int, int]] = []
    expecting: str | None = None
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "comment":
            continue
        if kind == "string" and expecting in ("colon", "more"):
            # adjacent strings are one value in protobuf text
            spans.append(token.span())
            expecting = "more"
            continue
        if kind == "other" and token[0] == ":" and expecting == "name":
            expecting = "colon"
            continue
        expecting = None
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "word" and depth == 0 and token[0] == "name":
            expecting = "name"
    for index, (start, end) in reversed(list(enumerate(spans))):
        text = text[:start] + (f'"{name}"' if index == 0 else "") + text[end:]
    return text
