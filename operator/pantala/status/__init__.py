"""Conditions, reasons, diagnosis: what the status says."""
