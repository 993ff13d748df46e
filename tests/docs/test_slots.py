"""The picture of the page about compression is as the coder encodes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.docs.blob_rows import encoded, rows_of
from tests.docs.slots import PAGE, PICTURE, REGIONS, drawn, filled


def test_the_picture_is_as_the_coder_encodes():
    assert PICTURE.read_text() == drawn(), "run: python -m tests.docs.slots"


def test_the_page_is_as_the_coder_encodes():
    page = PAGE.read_text()
    assert set(re.findall(r"<!-- from the coder: (\w+) -->", page)) == set(REGIONS)
    assert filled(page) == page, "run: python -m tests.docs.slots"


def test_the_rows_are_the_blob_byte_for_byte():
    one = encoded()
    assert b"".join(row.data for row in rows_of(one)) == one.record.blob


def test_the_picture_shows_the_whole_template():
    texts = ElementTree.fromstring(drawn()).iter("{http://www.w3.org/2000/svg}text")
    code = "".join(text.text or "" for text in texts if text.get("class") == "code")
    assert code.startswith(encoded().template.raw.decode())
