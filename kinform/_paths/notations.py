"""Translates other notations of paths, for hints in errors.

Knows JSONPath, also that of kubectl, JSON Pointer, jq, and keys of labels without quotes.
"""

from __future__ import annotations

import re

# Objects whose keys often contain dots and slashes.
_MAPS = "annotations|labels|matchLabels|nodeSelector|allocatable|capacity|hard|limits|requests|used"
_MAP_AND_KEY = re.compile(rf'(?P<map>(?:.*[./])?(?:{_MAPS}))[./](?P<key>[^\[\]"]+)')


def translate(text: str) -> str:
    """Returns the likely path, which need not be valid."""
    path = text.strip("{}").removeprefix("$").lstrip("./").replace("\\", "")
    path = re.sub(r"\[\d*\]", "[*]", path)
    path = re.sub(r"\['?([^'\"\[\]*]+)'?\]", r'["\1"]', path)
    path = re.sub(r"(^|[./])\*(?=[./\[]|$)", "[*]", path)
    if found := _MAP_AND_KEY.fullmatch(path):
        return f'{found["map"].replace("/", ".")}["{found["key"]}"]'
    return path if '"' in path else path.replace("/", ".")
