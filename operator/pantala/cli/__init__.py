"""The command line: pantala render, validate, status, refresh, digest, doctor, fetch, operator."""
