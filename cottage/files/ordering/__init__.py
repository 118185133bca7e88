"""The rows of one file or many in order of time."""
