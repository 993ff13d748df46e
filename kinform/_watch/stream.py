"""A stream of a Watch: its function, its state, and its way from lines to events.

`kinform.watch` and `kinform.sync.watch` share it. They differ as the originals do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from kinform._checks import require_instance, require_one_of, require_positive
from kinform._watch.events import ModelReader
from kinform._watch.functions import (
    accepts_bookmarks,
    client_of,
    follows_a_log,
    name_of,
    require_client,
    return_type_of,
    without_preload,
)
from kinform._watch.lines import Lines
from kinform._watch.parser import is_json, parse_event
from kinform._watch.recovery import OnExpired, Recovery
from kinform._watch.seen import Listed, Seen

# Arguments of a watch that a list does not have.
_WATCH_ARGUMENTS = {
    "watch",
    "timeout_seconds",
    "allow_watch_bookmarks",
    "send_initial_events",
    "resource_version",
    "resource_version_match",
}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a Watch, which documents them."""

    on_expired: OnExpired
    idle_timeout: float | None
    dedup: bool
    newest: bool

    def __post_init__(self) -> None:
        require_one_of("Watch.on_expired", self.on_expired, ("raise", "replay", "diff"))
        if self.idle_timeout is not None:
            require_positive("Watch.idle_timeout", self.idle_timeout)
        require_instance("Watch.dedup", self.dedup, bool, "True or False")
        require_instance("Watch.newest", self.newest, bool, "True or False")


class WatchStream:
    """A function, and all that is known of its connections.

    Args:
        func: The function.
        args: Its arguments.
        kwargs: Its keyword arguments.
        return_type: The type of objects, `""` if it is unknown, or None for that of the function.
        clients: The packages that the function may belong to.
        options: The options of the Watch.
        blocking: False: as the Watch of the asyncio clients. True: as that of `kubernetes`.

    Raises:
        TypeError: The function belongs to a client of the other kind.

    Attributes:
        func: The function with the arguments of the next request.
        client: The client that the function belongs to.
        return_type: A class, a name, or `""`.
        tracked: True: resourceVersions of events are remembered.
        log: True: the stream consists of the lines of a log.
        lines: The lines that were received.
        recovery: Decides what follows the end of a connection.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        args: Iterable[Any],
        kwargs: dict[str, Any],
        *,
        return_type: Any,
        clients: tuple[str, ...],
        options: Options,
        blocking: bool = False,
    ) -> None:
        self.client = client_of(func, return_type, clients)
        require_client(func, self.client.package, clients)
        self.return_type = return_type_of(func, self.client) if return_type is None else return_type
        self._reader = ModelReader(self.return_type, self.client)
        follow, name = follows_a_log(func), name_of(func)
        self.log = follow if blocking else self.return_type in ("str", str)
        self.tracked = bool(self.return_type) or not blocking or kwargs.get("resource_version") is not None
        self.lines = Lines(ends=self.log and not blocking)
        self._strict = not blocking
        kwargs = {**kwargs, "follow" if follow else "watch": True}
        self._hides_bookmarks = (
            not self.log
            and options.idle_timeout is not None
            and not kwargs.keys() & {"timeout_seconds", "allow_watch_bookmarks"}
            and accepts_bookmarks(func)
        )
        if self._hides_bookmarks:
            kwargs["allow_watch_bookmarks"] = True
        func, added = (func, {"_preload_content": False}) if blocking else without_preload(func)
        self.func = functools.partial(func, *args, **{**kwargs, **added})
        keep = options.on_expired == "diff"
        self._seen = Seen(drop_repeated=options.dedup, keep=keep) if options.dedup or keep else None
        self.recovery = Recovery(
            self.func.keywords,
            name=name,
            on_expired=options.on_expired,
            idle_timeout=options.idle_timeout,
            bookmarks=bool(kwargs.get("allow_watch_bookmarks")),
            newest=options.newest,
            continues=not self.log,
            needs_version=blocking,
        )

    def take(self, line: bytes) -> Any:
        """Returns the event of a line, the line of a log, or None to go on.

        Raises:
            ProtocolError: The line is not JSON, or not a watch event.
            ApiException: The line is a Status or an ERROR event.
            UnicodeDecodeError: The line is not UTF-8. Only for the asyncio clients.
        """
        if self.log:
            return line.decode(errors="strict" if self._strict else "replace")
        if not line or line.isspace():
            return None
        event = parse_event(line, self._reader, strict=self._strict)
        self.recovery.received(event["type"], event.resource_version if self.tracked else "")
        if self._hides_bookmarks and event["type"] == "BOOKMARK":
            return None
        return event if self._seen is None or self._seen.admit(event) else None

    def end(self) -> bool:
        """Ends the body. Returns whether its last, unfinished line can be read."""
        rest = self.lines.rest
        if not rest or not (self.log or is_json(rest)):
            return False
        self.lines.finish()
        return True

    def list_func(self, listed: Listed) -> Callable[[], Any]:
        """Returns the function that requests the next page of a list."""
        arguments = {name: value for name, value in self.func.keywords.items() if name not in _WATCH_ARGUMENTS}
        if listed.token:
            arguments["_continue"] = listed.token
        return functools.partial(self.func.func, *self.func.args, **arguments)

    def compare(self, listed: Listed) -> None:
        """Makes lines of the differences between the known objects and a list."""
        assert self._seen is not None
        self.recovery.listed(listed.resource_version)
        self.lines.ready.extend(self._seen.compare(listed))
