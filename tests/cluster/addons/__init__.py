"""What clusters of customers have besides Kubernetes: an object store, Prometheus; and models to serve."""
