"""The tests, one folder a floor; a package so that `python -m tests.controlplane` and `tests.clusters` have names."""
