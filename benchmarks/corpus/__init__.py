"""Objects to measure with: made up as real clusters have them, the same ones for the same seed; or out of a dump."""

from benchmarks.corpus.dump import read_dump
from benchmarks.corpus.kinds import Kind, Object, dump, key_of, touch
from benchmarks.corpus.made import MADE, make, pod, stream

__all__ = ["MADE", "Kind", "Object", "dump", "key_of", "make", "pod", "read_dump", "stream", "touch"]
