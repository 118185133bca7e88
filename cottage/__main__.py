"""`python -m cottage`: the command `cottage`."""

from cottage.cli import command

if __name__ == "__main__":
    command()
