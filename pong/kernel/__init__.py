"""The kernel's declarations, for ``cimport``; there is nothing here to import."""
