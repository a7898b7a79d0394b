"""What stands in the way of a version, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from pantala.status.reasons import TERMINAL, Reason


@dataclass(frozen=True)
class Problem:
    """A cause with its words: the message names the object and the next step."""

    reason: Reason
    message: str
    about: str = ""
    """Kind of the object that could not be written; empty where it is about something else."""

    @property
    def terminal(self) -> bool:
        """Whether it passes only when somebody changes something."""
        return self.reason in TERMINAL
