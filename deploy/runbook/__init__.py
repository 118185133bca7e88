"""The runbook for whatever Redis the suite runs on: looking into it, deleting, backup, restore. `make` runs each."""
