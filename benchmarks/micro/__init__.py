"""Each operation alone, beside what else one could do: tests for pytest-benchmark, a group of rivals a table.

`python -m benchmarks speed` runs them for people; `pytest benchmarks/micro` does as well. Every one checks its answer
before it is timed, and fails where that is wrong. Times are CPU times of the one thread, as machines are shared; what
the store does later, in the background, is not in them (`benchmarks memory` counts it). Python's garbage collector
rests for all alike: the dict of dicts, through which it would have to go again and again, would burden everybody.

What the rivals do is not the same, and the bias is ours to state:

- The scanner splits, checks the grammar, reads who each object is, and makes one block of bytes, but no objects of
  Python. json, orjson and msgspec make a dict of a whole LIST or of each line, and get the lines of a WATCH already
  cut. memcpy only copies.
- The store compresses what it takes; each reader gets an object of his own. The dict of bytes decodes as the store
  does, and pays in memory. The dict of dicts pays most, and hands out the very object that it holds: whoever changes
  it changes it for all. Both have an index by hand, and a relist makes them anew.
- The naive loop has no index, and knows nothing of relists, bad frames, silence or slow handlers.
"""
