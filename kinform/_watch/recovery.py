"""Decides what follows the end of a connection: another request, or the end.

Without sockets and clocks. Each refusal of the server still reaches the program, and each error of a stream with
`timeout_seconds`. A stream without it survives lost connections for `PATIENCE` seconds.
Source: `watch.py` of the clients; the backoff of client-go's reflector.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import msgspec

from kinform._errors import MAX_REASON, ProtocolError
from kinform._printable import printable, without_documents
from kinform._resource_versions import is_newer
from kinform._throttled_log import ThrottledLog
from kinform._watch.failures import is_lost, is_unreached

OnExpired = Literal["raise", "replay", "diff"]

MIN_INTERVAL = 0.5  # seconds between two requests
MAX_INTERVAL = 4.0  # seconds, after several connections without an event
PATIENCE = 30.0  # seconds without an event, in which lost connections are replaced
GRACE = 5.0  # seconds after `timeout_seconds`, in which the server must end the response
QUIET = 3  # factor of `idle_timeout` for a connection that sends only bookmarks
SETTLED = 1.0  # seconds without data after which the initial state counts as complete


class Ended(Exception):
    """The response ended cleanly."""


class Silent(Exception):
    """The server sent nothing for too long."""


class _Connection(msgspec.Struct, gc=False):
    """State of one connection.

    Attributes:
        sent: Time of its request.
        answered: The server has answered with success.
        fruitful: It had an event or a bookmark.
        active: It had an event.
    """

    sent: float
    answered: bool = False
    fruitful: bool = False
    active: bool = False


class Recovery:
    """State of one stream over all its connections.

    Args:
        arguments: The keyword arguments of the function. `resource_version` is set in them before a further request.
        name: The name of the function, for the log.
        on_expired: The reaction to a 410.
        idle_timeout: Seconds without an expected byte after which a connection is replaced, or None.
        bookmarks: True: the server was asked for bookmarks.
        newest: True: remember the largest resourceVersion. False: the last one.
        continues: False: the end of the response is the end of the stream, as for a log.
        needs_version: True: a stream without any resourceVersion does not continue.

    Attributes:
        resource_version: The resourceVersion to continue from, or None.
        relisting: True: a list must be compared with what the program knows, before the next request.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        *,
        name: str,
        on_expired: OnExpired,
        idle_timeout: float | None,
        bookmarks: bool = False,
        newest: bool = True,
        continues: bool = True,
        needs_version: bool = False,
    ) -> None:
        self.resource_version: Any = arguments.get("resource_version")
        self.relisting = False
        self._arguments = arguments
        self._name = name
        self._on_expired = on_expired
        self._idle_timeout = idle_timeout
        self._bookmarks = bookmarks
        self._newest = newest
        self._continues = continues
        self._needs_version = needs_version
        self._versioned = self.resource_version is not None  # a version was known at some time
        self._limit = arguments.get("timeout_seconds")
        self._endless = "timeout_seconds" not in arguments
        self._start = {"resource_version": self.resource_version} if "resource_version" in arguments else {}
        self._largest = ""  # resourceVersion of an event
        self._initial = str(self.resource_version or "0") == "0"  # the initial state is not known to be complete
        self._last_data = 0.0  # time of the last bytes
        self._reached = False  # the server has answered once
        self._connection = _Connection(0.0)  # the current one
        self._empty_connections = 0  # connections without an event since the last one with an event
        self._failing_since: float | None = None
        self._retried_expired = False
        self._gave_up = False  # a connection was replaced because of its silence, and no event came since
        self._log = ThrottledLog(logging.getLogger("kinform.watch"))

    def sending(self, now: float) -> None:
        """Notes a request."""
        self._connection = _Connection(now)

    def answered(self) -> None:
        """Notes the headers of a successful response."""
        self._connection.answered = self._reached = True

    def arrived(self, asked: float, now: float) -> None:
        """Notes data, and when the wait for it began."""
        self._initial = self._initial and now - asked < SETTLED
        self._last_data = now

    def received(self, type: str, resource_version: str) -> None:
        """Notes an event."""
        if not self._connection.fruitful:
            self._connection.fruitful = True
            self._empty_connections = 0
            self._failing_since = None
        self._connection.active = self._connection.active or type != "BOOKMARK"
        self._retried_expired = self._gave_up = False
        if self._initial and type != "ADDED":
            self._initial = False
        if resource_version and (not self._newest or not self._largest or is_newer(resource_version, self._largest)):
            self._largest = self.resource_version = resource_version
            self._versioned = True

    def listed(self, resource_version: str) -> None:
        """Notes that the program gets all differences to a list."""
        self.relisting = self._initial = False
        self._largest = self.resource_version = self._arguments["resource_version"] = resource_version

    def patience(self, now: float, *, cut: bool = False) -> float | None:
        """Returns the seconds to wait for the next byte; None: without a limit.

        Before the headers, within a line, and after an event the next bytes are expected soon. A quiet connection has
        bookmarks only, about one a minute. It must not be replaced without them: its resourceVersion gets too old.

        Args:
            now: The time.
            cut: True: the last line is not complete.
        """
        if not self._continues:
            return None  # a container may log nothing for hours
        if self._limit:
            return max(self._connection.sent + float(self._limit), now) + GRACE - now
        connection = self._connection
        if self._idle_timeout is None or not connection.answered or cut or (connection.active and not self._initial):
            return self._idle_timeout
        return self._idle_timeout * QUIET if self._bookmarks else None

    def judge(self, error: Exception, now: float, *, cut: bool = False) -> Exception | None:
        """Returns the error that ends the stream, or None if another request follows.

        Args:
            error: Why the connection ended.
            now: The time.
            cut: True: the last line is not complete.
        """
        if not self._connection.fruitful:
            self._empty_connections += 1
        final = self._judge(error, now)
        if final is None:
            self._prepare(error, now, cut)
            if cut or not isinstance(error, Ended | Silent | TimeoutError):  # else it is ordinary for a quiet stream
                self._log.warning(type(error).__name__, f"{self._name}: {_cause(error)}: the watch connects again")
        return final

    def wait(self, now: float) -> float:
        """Returns the seconds until the next request, or until the end is reported."""
        interval = min(MIN_INTERVAL * 2.0 ** min(max(self._empty_connections - 1, 0), 10), MAX_INTERVAL)
        return max(self._connection.sent + interval - now, 0.0)

    @property
    def _goes_on(self) -> bool:
        """Returns whether another connection can follow an ordinary end."""
        return self._endless and self._continues and (self._versioned or not self._needs_version)

    def _judge(self, error: Exception, now: float) -> Exception | None:
        if isinstance(error, Ended):
            return None if self._goes_on else error
        if isinstance(error, Silent):
            self._gave_up = True
            return Ended() if self._limit else None
        if getattr(error, "status", None) == 410:
            return self._judge_expired(error)
        if isinstance(error, TimeoutError) and self._reached:
            return None if self._endless else error
        if not (self._goes_on and (isinstance(error, ProtocolError) or is_lost(error))):
            return error
        if is_unreached(error) and not self._reached:
            return error
        if self._failing_since is None:
            self._failing_since = now
        return None if now - self._failing_since < PATIENCE else error

    def _judge_expired(self, error: Exception) -> Exception | None:
        if self._restarts_expired:
            return None
        if self._retried_expired or not (self._endless and self._continues):
            return error
        self._retried_expired = True
        return None if self._goes_on else Ended()

    @property
    def _restarts_expired(self) -> bool:
        """Returns whether a 410 is followed by a request without a resourceVersion.

        Also if this Watch replaced a silent connection: the versions of an initial state may be years old.
        """
        return self._on_expired != "raise" or (self._gave_up and self._initial)

    def _prepare(self, error: Exception, now: float, cut: bool) -> None:
        """Sets the arguments of the next request."""
        lost = (isinstance(error, ProtocolError) or is_lost(error)) and now - self._last_data < SETTLED
        if getattr(error, "status", None) == 410 and self._restarts_expired:
            self._start = {}
            self._restart()
        elif self._initial and (cut or lost):
            self._restart()  # objects of the initial state may be missing
        elif self.resource_version:
            self._arguments["resource_version"] = self.resource_version

    def _restart(self) -> None:
        self.relisting = self._on_expired == "diff" and self._reached
        self._arguments.pop("resource_version", None)
        self._arguments.update(self._start)
        self.resource_version = self._start.get("resource_version")
        self._largest = ""
        self._initial = True


def _cause(error: Exception) -> str:
    """Returns the class of an error, and its status and reason if it has them."""
    status = getattr(error, "status", None)
    if not isinstance(status, int):
        return type(error).__name__
    reason = getattr(error, "reason", None)
    words = f" {printable(without_documents(reason), MAX_REASON)}" if isinstance(reason, str) and reason else ""
    return f"{type(error).__name__} {status}{words}"
