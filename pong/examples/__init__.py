"""Sound files for a first try."""
