"""The demo: a real Kubernetes, Pantala installed by its chart, and two models that answer."""
