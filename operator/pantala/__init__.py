"""Pantala: an operator that serves models on Kubernetes."""
