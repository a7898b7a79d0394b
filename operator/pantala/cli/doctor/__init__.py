"""`pantala doctor`. What was read is one value (`seen`); every check is a function from it to findings."""

from pantala.cli.doctor.command import doctor

__all__ = ["doctor"]
