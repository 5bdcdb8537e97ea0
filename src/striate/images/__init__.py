"""From what users give to what the core reads, and how that is remembered."""
