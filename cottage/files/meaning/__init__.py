"""What the columns of a file mean; `understanding` is where to begin."""
