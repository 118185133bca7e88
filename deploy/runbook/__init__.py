"""The runbook of the specification (§9, §12) for whatever Redis the suite runs on; `make` has a target for each."""
