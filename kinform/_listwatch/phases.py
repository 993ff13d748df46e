"""The phases of the list-watch state machine, each with its data.

Source: kube-runtime's watcher, whose `State` holds its data in the same way.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec

from kinform._listwatch.pages import Pages


@enum.unique
class Phase(enum.Enum):
    """The purpose of the current connection, or of the next one."""

    LIST = "The first page of a LIST"
    PAGE = "A later page of a LIST"
    STREAM = 'The initial events of a WatchList, with `initial="auto"`: a LIST can replace it'
    STREAM_ONLY = 'The initial events of a WatchList, with `initial="stream"`'
    WATCH = "The changes after a complete state"


class Listing(msgspec.Struct):
    """The first page of a LIST comes in. A second try begins a new state."""

    phase: ClassVar[Phase] = Phase.LIST
    unpaged: bool = False  # the pages of an earlier try expired or had no end, and those of another try might as well
    pages: Pages = msgspec.field(default_factory=Pages)


class Paging(msgspec.Struct):
    """A later page of a LIST comes in. A second try belongs to the same state."""

    phase: ClassVar[Phase] = Phase.PAGE
    token: str
    unpaged: bool
    pages: Pages


class Streaming(msgspec.Struct):
    """The initial events of a WatchList come in. The end bookmark completes the state."""

    phase: Phase  # STREAM or STREAM_ONLY
    bookmarks: int = 0  # before the end bookmark, on the current connection
    objects: int = 0  # on the current connection


class Watching(msgspec.Struct):
    """The state is complete. Changes since the last resourceVersion come in."""

    phase: ClassVar[Phase] = Phase.WATCH
    highest: str = ""  # the highest resourceVersion so far; a server may send lower ones afterwards
    accepted: bool = False  # the server has accepted the current request
    progress: bool = False  # the current connection brought something new


PhaseData = Listing | Paging | Streaming | Watching


class Counters(msgspec.Struct):
    """Counts in a row that outlive a phase. The comment says when each starts over."""

    failures: int = 0  # exponent of the backoff; until progress
    empty_watches: int = 0  # watches without progress, even if the relists between them succeed; until progress
    relists: int = 0  # relists after a failed watch; until a watch lasts
    stream_tries: int = 0  # accepted WatchLists; until a state is complete
    unauthorized: int = 0  # answers of 401; until a request is accepted
    refusals: int = 0  # answers with `refused_status`; until a request is accepted
    refused_status: int = 0  # the last of 401, 403 and 404 that was answered
