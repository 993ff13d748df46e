"""Shared parts of the benchmarks: an API server, and processes under measurement."""
