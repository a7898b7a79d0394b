"""Clients of services other than the API server."""
