"""The only code that talks to the API server: client, cache, apply, prune, events."""
