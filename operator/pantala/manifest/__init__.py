"""The value types that features exchange, and what can be said about Kubernetes objects without a cluster."""
