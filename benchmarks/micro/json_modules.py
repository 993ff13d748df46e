"""The JSON modules that are measured beside kinform, under one face."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import orjson


class Module(NamedTuple):
    """How to read and write."""

    loads: Callable[[bytes], Any]
    dumps: Callable[[Any], bytes]


MODULES = {
    "msgspec": Module(msgspec.json.Decoder().decode, msgspec.json.Encoder().encode),
    "orjson": Module(orjson.loads, orjson.dumps),
    "json": Module(json.loads, lambda found: json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()),
}
