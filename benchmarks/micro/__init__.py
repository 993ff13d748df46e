"""Micro-benchmarks: single operations of kinform and of its alternatives.

They are tests for pytest-benchmark. `python -m benchmarks speed` runs them and prints tables; `pytest benchmarks/micro`
runs them too. Each checks its answer before it is timed. Times are CPU times of one thread, because machines are
shared. Python's garbage collector is off for all: it would go through the dict of dicts again and again.

The alternatives do not do the same. The bias:

- The scanner splits a body, checks the grammar, reads each object's identity, and creates one block of bytes without
  Python objects. json, orjson and msgspec create a dict from a whole LIST or from each line, and get the lines of a
  WATCH already split. memcpy only copies.
- The store encodes each object when it arrives, and each read returns a new object. The dict of bytes decodes at each
  read too, and uses more memory. The dict of dicts uses the most, and returns the stored object itself, which callers
  can modify. Both have a hand-written index, and a relist rebuilds them. Writes of new objects go into stores without
  an index.
- The naive loop has no index, and does not handle relists, invalid events, silent connections or slow handlers.
"""
