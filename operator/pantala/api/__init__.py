"""The typed resource, its rules, and the CRD and the reference that are generated from them."""
