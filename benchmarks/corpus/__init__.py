"""Objects to measure with: made up as real clusters have them, the same ones for the same seed; or out of a dump."""

from benchmarks.corpus.catalogue import MADE, make, stream
from benchmarks.corpus.dump import read_dump
from kinform.testing._objects.kinds import Kind, Object, dump, key_of, touch

__all__ = ["MADE", "Kind", "Object", "dump", "key_of", "make", "read_dump", "stream", "touch"]
