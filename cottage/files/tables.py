"""Opens a file of any kind as a table of cells, by what is in it."""

from cottage.files.members import Member
from cottage.files.options import ReadOptions
from cottage.files.table import Table
from cottage.files.text_table import TextTable


def open_table(member: Member, options: ReadOptions) -> Table:
    """The table in a file. Raises UnusableSource where there is none, MissingExtra, or SourceError."""
    return TextTable(member)
