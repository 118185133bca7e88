"""Opens a file of any kind as a table of cells, by what is in it."""

from cottage.files.json_table import JsonTable, looks_like_json
from cottage.files.members import Member
from cottage.files.options import ReadOptions
from cottage.files.table import Table
from cottage.files.text_table import TextTable


def open_table(member: Member, options: ReadOptions) -> Table:
    """The table in a file. Raises UnusableSource where there is none, MissingExtra, or SourceError."""
    with member.open() as stream:
        head = stream.peek()
    if looks_like_json(head):
        return JsonTable(member)
    return TextTable(member)
