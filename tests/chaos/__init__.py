"""The suite broken on purpose, and what it promises checked meanwhile: `make chaos N=200 SEED=7`.

pace.py      time constants: real ones, or all of them a tenth
proxy.py     a TCP proxy that cuts, stalls, forgets and delays
suite.py     the real processes around a real Redis, each behind a proxy
samples.py   how old each sample really is
truth.py     what Redis holds, seen directly
onlooker.py  a client in a process of its own, which may stand still
watch.py     clients of all kinds, and what each must never see
faults/      what is done to the suite, each kind with its cure
course.py    a seeded series of faults: inject, cure, wait for convergence
sabotage.py  the suite with a promise taken out of it, which the harness must notice
report.py    faults by kind, with the time to converge
"""
