"""The record: a folder with all that passed, which the recorder writes and anybody reads.

schema.py        its tables and their columns: begin here
rows.py          rows of an update, and the state of a row
manifest.py      which files are alive, and the chain of all that was ever added or removed
digest.py        the digest of a set of rows, in whatever order they are
write_ahead.py   what was recorded last, on the disk a flush after it came
record_writer.py the folder for writing: flushes, five-minute files, files of an hour, age and size
record.py        the folder for reading: its files as one
"""
