"""Sets of values that tests render and that a real API server checks."""

from typing import Any

GATEWAYS: dict[str, dict[str, Any]] = {
    "istio": {"traffic": {"domain": "models.example.com"}, "gateway": {"create": True}},
    "istio-tls": {
        "traffic": {"mesh": "istio", "domain": "models.example.com"},
        "gateway": {
            "create": True,
            "namespace": "ingress",
            "name": "models",
            "selector": {"app": "edge"},
            "hosts": ["*.models.example.com", "resnet.example.org"],
            "port": 8080,
            "tls": {"secretName": "models-certificate", "port": 8443},
            "annotations": {"example.com/note": "yes"},
        },
    },
    "gateway-api": {
        "traffic": {"domain": "models.example.com"},
        "gateway": {"create": True, "api": "gateway-api", "className": "istio"},
    },
    "gateway-api-tls": {
        "gateway": {
            "create": True,
            "api": "gateway-api",
            "className": "istio",
            "namespace": "ingress",
            "hosts": ["*.models.example.com", "*"],
            "tls": {"secretName": "models-certificate"},
            "annotations": {"example.com/note": "yes"},
        },
    },
    "gateway-api-both": {
        "gateway": {
            "create": True,
            "api": "gateway-api",
            "className": "istio",
            "hosts": ["*.models.example.com"],
            "tls": {"secretName": "models-certificate", "httpsRedirect": False},
        },
    },
}
"""Gateways by name: of each API, with and without TLS."""

SETS: dict[str, dict[str, Any]] = {
    "default": {},
    "namespaces": {"watchNamespaces": ["team-a", "team-b"], "replicas": 2},
    "everything": {
        "image": {"repository": "registry.example.com/pantala", "digest": f"sha256:{'0' * 64}", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
        "fullnameOverride": "models",
        "settings": {
            "runtimeImages": {"triton": "example.com/triton:1", "torchserve": "example.com/torchserve:1"},
            "dragonflySocketFolder": "/run/p2p",
            "cacheHostPaths": ["/srv/models"],
        },
        "traffic": {
            "mesh": "gateway-api",
            "domain": "models.example.com",
            "allowedDomains": [{"namespaces": ["vision", "*"], "domains": ["models.example.com"]}],
            "clusterDomain": "k8s.example.com",
        },
        "gateway": {"namespace": "ingress", "name": "models"},
        "accelerators": {
            "default": "hami",
            "pools": [
                {"nodeSelector": {"pool": "slices", "example.com/zone": "a"}, "provider": "mig"},
                {"nodeSelector": {"bare": ""}, "provider": "dra"},
            ],
            "sharedResource": "nvidia.com/gpu",
            "aliyunUnit": "MiB",
            "resourceNames": {"nvidia.com/gpumem": "example.com/gpumem"},
        },
        "dragonfly": {"nodePortService": {"enabled": True, "namespace": "p2p", "nodePort": 30401}},
        "prometheus": {
            "url": "https://prometheus.monitoring:9090/prometheus",
            "tokenSecret": {"name": "prometheus", "key": "bearer"},
        },
        "tracing": {"otlpEndpoint": "http://otel.monitoring:4318"},
        "log": {"level": "debug", "format": "plain"},
        "replicas": 2,
        "strategy": {"type": "Recreate", "rollingUpdate": None},
        "serviceAccount": {"name": "models", "annotations": {"example.com/role": "a"}},
        "rbac": {"ownerReferencesPermissionEnforcement": True},
        "podLabels": {"team": "platform"},
        "podAnnotations": {"example.com/note": "yes"},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com"}],
        "monitoring": {
            "dashboards": {"labels": {"dashboards": "grafana"}, "annotations": {"grafana_folder": "Models"}},
            "alerts": {"labels": {"release": "prometheus"}, "runbooks": "https://docs.example.com/runbooks"},
        },
        "metrics": {
            "service": {"port": 9090, "annotations": {"a": "b"}},
            "serviceMonitor": {"enabled": True, "interval": "1m30s", "labels": {"release": "a", "b.io/c": ""}},
        },
        "autoscaling": {
            "rules": {"interval": "30s", "window": "5m", "rateWindow": "2m", "labels": {"release": "monitoring"}},
            "adapter": {"enabled": False},
            "dcgm": {"podLabel": "pod_name", "namespaceLabel": "pod_namespace", "sharedPerProcess": True},
            "keda": {
                "prometheusUrl": "http://thanos.monitoring:9090",
                "authenticationRef": {"kind": "TriggerAuthentication", "name": "prometheus"},
            },
        },
        "networkPolicy": {
            "enabled": True,
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "apiServer": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        },
    },
    "bare": {
        "serviceAccount": {"create": False, "name": "mine"},
        "rbac": {"create": False},
        "crds": {"enabled": False},
        "metrics": {"service": {"enabled": False}},
        "monitoring": {"dashboards": {"enabled": False}, "alerts": {"enabled": False}},
        "resources": {},
    },
}
"""By name; between them every template and every branch is rendered."""
