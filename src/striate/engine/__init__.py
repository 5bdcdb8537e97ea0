"""The core as a network uses it."""
