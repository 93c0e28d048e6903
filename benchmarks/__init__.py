"""How fast Pellucid is beside its peers: `python -m benchmarks`.

`workloads` says what is measured, `peers` whom it is compared with, one file per family how each
of them does it. Every peer works in a process of its own (`worker`); they are asked in turn, round
after round, so that a machine that slows down slows all of them. Medians and ratios are made in
`results`.
"""
