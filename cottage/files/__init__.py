"""Market data in files."""
