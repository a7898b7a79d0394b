"""How weights travel: one module per mode. Pure; the bytes move in the fetcher."""
