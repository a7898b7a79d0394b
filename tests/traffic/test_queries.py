"""The PromQL text; what it means is judged by a real Prometheus in tests/remote/test_prometheus.py."""

from datetime import timedelta

import pytest

from pantala.traffic import queries
from tests.golden import assert_golden


@pytest.mark.parametrize("dialect", ["istio", "envoy"])
def test_text(dialect: str) -> None:
    """The queries of five minutes and two namespaces, to be read and tried by people."""
    found = getattr(queries, dialect)(timedelta(minutes=5), {"vision", "a-b"})
    assert tuple(found) == queries.FIGURES
    assert_golden(f"prometheus-queries/{dialect}.yaml", found)


def test_number_of_queries() -> None:
    """Eight queries, whatever the number of models; none is longer than 8 KiB even with a hundred long namespaces."""
    names = [f"{'n' * 50}-{number}" for number in range(100)]
    found = [
        *queries.istio(timedelta(minutes=5), names[:20]).values(),
        *queries.envoy(timedelta(minutes=5), []).values(),
    ]
    assert len(found) == 8
    assert max(map(len, queries.istio(timedelta(minutes=5), [*names, "one-more"]).values())) < 8192


@pytest.mark.parametrize("name", ['x"} or vector(1) #', "a.b", "a|b", "", "a\nb", "ä"])
def test_no_injection(name: str) -> None:
    """What is no name of a namespace gets into no query."""
    with pytest.raises(ValueError, match="namespace"):
        queries.istio(timedelta(minutes=5), ["vision", name])
