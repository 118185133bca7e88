"""Reads market data from files of any kind: trades, bars and quotes. The market service replays them, and
`cottage inspect` shows what is understood of them.

    recording.py  a file, a folder or a zip as one stream of rows in order of time: begin here
    part.py       one of its files; together.py says which may be played together
    cell_table.py what every file is read as
    tables/       files of any kind as rows of cells of text
    cells/        what cells say: numbers and times, in any spelling
    meaning/      what the columns of a file mean
    ordering/     rows in order of time
    columns.py    the names of columns, as vendors spell them
    rows.py       what comes out
    options.py    what a user may state
    report.py     what is understood, for people and as JSON; course.py has the figures of the rows
"""
