"""The record: a folder with all that passed, which the recorder writes and anybody reads.

schema.py        its tables and their columns: begin here
arrow_schema.py  the same as Arrow has it
state_rows.py    rows of an update, and the state of a row
record_writer.py the folder for writing: flushes, five-minute files, files of an hour, age and size
record.py        the folder for reading: its files as one; row_groups.py reads of Parquet what is needed
s3_archive.py    copies of closed files in an S3-compatible storage
verification.py  whether the files are those that were written
folder_layout.py where things are in the folder
write_ahead.py   what was recorded last, on the disk a flush after it came
sorted_runs.py   the merge of sorted rows, in bounded memory
compaction.py    a process that makes Parquet files of them; compaction_child.py starts it
manifest.py      which files are alive, and the chain of all that was ever added or removed
chain_recovery.py makes chain, manifest and files fit after a crash
digest.py        the digest of a set of rows, in whatever order they are
history.py       points in buckets (bucketing.py, history_span.py, run_index.py); record_events.py what happened
past_states.py   the state that held at a past time
questions.py     what programs ask the physics API about it, over HTTP; answer_table.py: what they get
recorded_ticks.py what feynman took in each tick, for time travel; checkpoints.py: windows from which that begins
compare.py       where two records differ; settling.py: from which sample on they must not
sorted_rows.py   all rows in some order, sorted on disk; overview.py: what a record holds
proof.py         whether a state can be believed: what it stands on, and whether it comes out again
evidence.py      the samples of a record as feynman took them; recomputation.py: a state computed from them again
proof_report.py  a proof as JSON; proof_text.py: as text; proof_page.py: as a page that prints
"""
