"""The work queue and the loop: observe, plan, apply, prune, status, events."""
