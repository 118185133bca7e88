"""The runbook: inspection, deletion, backup and restore of the Redis that the suite uses, each as a make target."""
