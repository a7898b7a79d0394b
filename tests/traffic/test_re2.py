"""Which regular expressions are let into a route of the Gateway API."""

import pytest

from pantala.traffic import re2


@pytest.mark.parametrize(
    "pattern",
    ["v[0-9]+", ".*", "^a$", "(?i)yes|no", r"[\x20-\x7e]{1,64}", r"a.b\.c", "(a|b)*c", r"\d\w\s", r"\\(?:x)", "a{1000}",
     "(a{10}){100}", "[]a]", "[+]+", r"\++", "(?P<n>a)", "a+?", "a{2}?", r"\(?a", "[[:alpha:]]"],
)  # fmt: skip
def test_what_both_know_is_taken(pattern: str) -> None:
    """What RE2 and Python read as an expression is one."""
    assert re2.known(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["*", "(", "[a", "a{2,1}", "(?=a)", "(?!a)", "(?<=a)b", r"\1", r"(a)\1", "a**", "(?P<n", "\\", "a{1001}", "a{1,1001}",
     "(a{100}){100}", "a++", "a*+", "(?>a)", "(?#a)", "(a)(?(1)b)", "(?x)a", r"a\Z", r"\u0041", r"\N{DIGIT ONE}", r"\07",
     r"\Qa\E", r"\pL", "(" * 200 + ")" * 199],
)  # fmt: skip
def test_what_one_of_them_does_not_know_is_not(pattern: str) -> None:
    """What RE2 would refuse never gets into a route; some of what it would take does not either."""
    assert not re2.known(pattern)
