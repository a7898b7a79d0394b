"""The rules that a schema alone cannot say, each once for the API server and once for ``pantala validate``.

A rule stands beside its CEL expression as a Python predicate over the same block, so that both give the same verdict with
the same message; the tests hold them against each other on a real API server. A message says which field is wrong, what
is wrong with it, and what to do.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One rule on one kind of block."""

    block: str
    """Class name of the block in `pantala.api`."""
    cel: str
    """The rule for the API server; ``self`` is the block, ``oldSelf`` the block before the change."""
    holds: Callable[[Any], bool]
    """The rule in Python, over the block as a plain object with defaults filled in."""
    message: str
    """What a person reads when it does not hold."""
    field: str = ""
    """Path of the field to blame below the block, such as ``.maxReplicas``; empty for the block itself."""
    transition: bool = False
    """Whether the rule compares with the stored object; offline it always holds."""

    def as_schema(self) -> dict[str, str]:
        """The rule as an entry of x-kubernetes-validations."""
        entry = {"rule": self.cel, "message": self.message}
        return entry | ({"fieldPath": self.field} if self.field else {})


def search(pattern: str, text: str) -> bool:
    """Match as CEL does (RE2): ``$`` is the end of the text, classes are POSIX's, a backslash is escaped for CEL."""
    for ours, pythons in (("[:space:]", r"\s"), ("[:cntrl:]", r"\x00-\x1f\x7f"), (r"\\", "\\"), ("$", r"\Z")):
        pattern = pattern.replace(ours, pythons)
    return re.search(pattern, text) is not None


def rules_of(block: str) -> tuple[Rule, ...]:
    """The rules on a kind of block, by its class name."""
    return tuple(rule for rule in all_rules() if rule.block == block)


def all_rules() -> tuple[Rule, ...]:
    """Every rule."""
    from pantala.api import rules_accelerator, rules_escapes, rules_pod, rules_spec  # noqa: PLC0415 - they need the type above

    return rules_spec.RULES + rules_pod.RULES + rules_accelerator.RULES + rules_escapes.RULES
