"""The command line: pantala render, validate, status, refresh, digest, fetch, operator."""
