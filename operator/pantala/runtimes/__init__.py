"""One module per model server: image, ports, probes, configuration files, metrics."""
