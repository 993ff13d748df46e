"""The objects to measure with: generated ones, or those of a dump."""

from benchmarks.corpus.catalogue import MADE, make, stream
from benchmarks.corpus.dump import read_dump
from kinform.testing._objects.kinds import Kind, Object, dump, key_of, touch

__all__ = ["MADE", "Kind", "Object", "dump", "key_of", "make", "read_dump", "stream", "touch"]
