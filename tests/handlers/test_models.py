"""What is handed to kopf: a watch, and nothing that writes."""

import pytest

from pantala.cluster.cache import Cache
from pantala.handlers import models


def test_kopf_writes_nothing() -> None:
    """Kopf posts no events, adds no finalizers and stores no annotations: its one handler only listens."""
    settings = models.settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    registry = models.registry(Cache(lambda _: None, lambda _: None))
    assert not list(registry._changing.get_all_handlers())
    assert not list(registry._spawning.get_all_handlers())
    assert len(list(registry._watching.get_all_handlers())) == 1


async def test_in_a_cluster_the_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kopf watches by the API server's address: its watch must not stop when the DNS does."""
    import kopf

    found = kopf.ConnectionInfo(server="https://kubernetes.default.svc")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: found)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for host, server in (("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")):
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        login = await models._login()
        assert login is not None
        assert login.server == server
