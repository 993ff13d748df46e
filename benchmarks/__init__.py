"""Measurements, each of which checks its answer before it tells a time: `python -m benchmarks NAME`."""
