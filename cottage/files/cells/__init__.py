"""What cells say: numbers and times, in any spelling."""
