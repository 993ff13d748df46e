"""Lines of any length, from chunks of any size."""

from __future__ import annotations

import pytest

from kinform._watch.lines import Lines

BODY = b"one\n\ntwo \xc3\xa9\n" + b"x" * 70_000 + b"\nrest"
WANTED = BODY.split(b"\n")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096, len(BODY)])
@pytest.mark.parametrize("ends", [False, True])
def test_lines_do_not_depend_on_chunks(size, ends):
    lines = Lines(ends=ends)
    for start in range(0, len(BODY), size):
        lines.feed(BODY[start : start + size])
    assert list(lines.ready) == [line + b"\n" * ends for line in WANTED[:-1]]
    assert lines.rest == b"rest"
    lines.finish()
    assert lines.ready[-1] == b"rest"
    assert lines.rest == b""


def test_clear_removes_all():
    lines = Lines()
    lines.feed(b"a\nb")
    lines.clear()
    assert not lines.ready
    assert lines.rest == b""
