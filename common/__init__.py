"""What the processes of the suite share on top of the library `cottage`: settings, logs, runner, ops, fan-out."""
