"""The JSON modules that kinform is compared with, behind one interface."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import orjson


class Module(NamedTuple):
    """A decoder and an encoder."""

    loads: Callable[[bytes], Any]
    dumps: Callable[[Any], bytes]


MODULES = {
    "msgspec": Module(msgspec.json.Decoder().decode, msgspec.json.Encoder().encode),
    "orjson": Module(orjson.loads, orjson.dumps),
    "json": Module(json.loads, lambda found: json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()),
}
