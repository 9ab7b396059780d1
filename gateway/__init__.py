"""The protection gateway."""
