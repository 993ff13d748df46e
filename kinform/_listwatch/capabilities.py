"""Facts about a server, as its answers have shown them.

All streams and lists of a connection share them.
"""

from __future__ import annotations

import logging
import weakref

from kinform._options import Resource
from kinform._transport.base import Transport

_log = logging.getLogger("kinform.reflector")


class Capabilities:
    """Facts about a server.

    Attributes:
        without_stream: Resources that have no WatchList.
        without_shards: The server refuses `shardSelector`, so requests do not have it any more.
    """

    def __init__(self) -> None:
        self.without_stream: set[Resource] = set()
        self.without_shards = False

    def refuses_shards(self, name: str) -> None:
        """Notes that the server accepts a request only without `shardSelector`.

        Args:
            name: The name of the stream, for the log.
        """
        if not self.without_shards:
            self.without_shards = True
            _log.warning(
                "%s: the server refuses shardSelector. From now on it sends all objects, and kinform drops those of "
                "other shards",
                name,
            )


def capabilities_of(transport: Transport) -> Capabilities:
    """Returns the facts about the server of a transport."""
    return _capabilities.setdefault(transport.identity, Capabilities())


# Released with the connection.
_capabilities: weakref.WeakKeyDictionary[object, Capabilities] = weakref.WeakKeyDictionary()
