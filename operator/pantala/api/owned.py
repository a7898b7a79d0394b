"""Names that the operator sets itself, so that a user's value would be lost or would break the pod."""

ENV = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "TS_CONFIG_FILE", "LOG_LOCATION", "METRICS_LOCATION", "TEMP")
"""Environment variables of the server; further, everything that begins with `ENV_PREFIX`."""
ENV_PREFIX = "PANTALA_"
"""Prefix of the operator's own variables."""

TORCHSERVE_CONFIG = (
    "default_startup_timeout",
    "default_workers_per_model",
    "disable_token_authorization",
    "enable_envvars_config",
    "enable_model_api",
    "grpc_inference_address",
    "grpc_inference_port",
    "grpc_management_address",
    "grpc_management_port",
    "inference_address",
    "load_models",
    "management_address",
    "metrics_address",
    "metrics_mode",
    "model_snapshot",
    "model_store",
    "models",
    "tsConfigFile",
    "workflow_store",
)
"""Keys of config.properties (https://pytorch.org/serve/configuration.html)."""

TRITON_FLAGS = (
    "allow-grpc",
    "allow-http",
    "allow-metrics",
    "exit-on-error",
    "exit-timeout-secs",
    "grpc-address",
    "grpc-port",
    "grpc-restricted-protocol",
    "http-address",
    "http-port",
    "http-restricted-api",
    "load-model",
    "metrics-address",
    "metrics-port",
    "model-control-mode",
    "model-repository",
    "model-store",
    "strict-readiness",
)
"""Flags of tritonserver, without the dashes (`tritonserver --help`)."""

TORCHSERVE_FLAGS = (
    "foreground",
    "log-config",
    "model-store",
    "models",
    "ncs",
    "no-config-snapshots",
    "start",
    "stop",
    "ts-config",
)
"""Flags of torchserve, without the dashes."""

VOLUMES = ("models", "config", "tmp", "source")
"""Volumes of the pod."""
PATHS = ("/models", "/etc/pantala", "/tmp")  # noqa: S108 - paths inside of the pod
"""Folders of the container where the operator's volumes are mounted."""
LABEL_PREFIXES = ("pantala.dev/", "app.kubernetes.io/")
"""Labels of the pods by which Deployments and Services find them."""
ANNOTATION_PREFIX = "pantala.dev/"
"""Annotations of the operator."""
RESOURCES = ("cpu", "memory", "ephemeral-storage")
"""Resources that a user asks for by name; cards are asked for with `accelerator`."""
