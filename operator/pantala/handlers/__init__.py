"""kopf, and only here: thin handlers that put keys on the queue."""
