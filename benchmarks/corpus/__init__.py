"""Objects to measure with: made up as real clusters have them, the same ones for the same seed; or out of a dump."""

from benchmarks.corpus.dump import read_dump
from benchmarks.corpus.objects import MADE, Kind, Object, key_of, make, touch
from benchmarks.corpus.pods import dump, pod

__all__ = ["MADE", "Kind", "Object", "dump", "key_of", "make", "pod", "read_dump", "touch"]
