"""TODO title."""
