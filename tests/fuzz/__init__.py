"""Fuzzing: inputs that nobody wrote, thrown at whatever reads what a stranger may have sent (docs/security.md).

`make fuzz ARGS="--target messages --minutes 10"` searches, guided by which branches an input reaches; what is in
`corpus/` is replayed by `make test` (test_corpus.py).
"""
