"""The transitions of the list-watch state machine, as data.

`TRANSITIONS` holds all of them: the next request, the wait before it, and the state that users see. `machine.py`
finds the verdict and makes the transition. docs/reference/states.md is generated from this file.
Source: h11's `_state.py` for the form; kube-runtime's watcher, client-go's reflector and KEP-3157 for the content.
"""

from __future__ import annotations

import enum

import msgspec

from kinform._listwatch.pages import MAX_UNASKED_OBJECTS
from kinform._listwatch.phases import Phase
from kinform._stats import State

# A WatchList that was accepted this often without an end bookmark is replaced by a LIST.
MAX_STREAM_TRIES = 2
# After this number of watches in a row without progress the resourceVersion counts as expired: some resources answer
# one that is too old with an empty watch instead of 410.
MAX_EMPTY_WATCHES = 3
# A LIST with more pages is requested again in one page. A server whose `continue` tokens have no end would fill the
# memory otherwise.
MAX_PAGES = 2_000
# Objects of a complete state. More of them, of 800 bytes each, would not fit into the largest etcd, of 8 GiB.
# Source: etcd's "Storage size limit".
MAX_STATE_OBJECTS = 10_000_000


@enum.unique
class Verdict(enum.Enum):
    """The meaning of an answer, or of the end of a connection, for the next request."""

    COMPLETE = (
        "The last page of a LIST arrived, or the end bookmark of a WatchList "
        "(the bookmark that marks the end of the initial events)"
    )
    NEXT_PAGE = "A page arrived that has a `continue` token"
    PAGE_LATER = "The conditions of NEXT_PAGE, but the LIST was requested in one page after a LIST in pages failed"
    ENDLESS_LIST = (
        "A page arrived that has a `continue` token, and the token or the first object of the page came before "
        f"in this LIST, or the LIST has {MAX_PAGES:,} pages; "
        f"or a page has more than {MAX_UNASKED_OBJECTS:,} objects beyond its limit, "
        f"or a state more than {MAX_STATE_OBJECTS:,} objects"
    )
    RESUME = (
        "The server ended a watch without an error, "
        "and the watch made progress or lasted at least `Backoff.maximum` seconds"
    )
    RETRY = (
        "The connection failed or ended early, the body was malformed, "
        "or the server answered with a status that this table does not list (429, 500, 503, ...)"
    )
    UNFINISHED = (
        "A WatchList ended or stalled before its end bookmark, "
        f"and the server has accepted at least {MAX_STREAM_TRIES} WatchLists since the last complete state, "
        "including this one"
    )
    UNSUPPORTED = "The server answered 422 to a WatchList, or sent an ERROR event of 500 in it"
    RELIST = "The server answered 410, or it has not reached the resourceVersion"
    RELIST_LATER = (
        "For a watch, one of: (a) the conditions of RELIST, after at least one other failed watch, "
        "or after another RELIST or RELIST_LATER since the last watch of at least `Backoff.maximum` seconds; "
        f"(b) 400, 406, 415 or 422, if fewer than {MAX_EMPTY_WATCHES} watches failed before this one; "
        f"(c) the conditions of RETRY, and at least {MAX_EMPTY_WATCHES} failed watches, including this one"
    )
    HEAL = "A watch skipped an object whose key is unknown, and the wait until the relist is over"
    UNSHARDED = (
        "The request had a `shardSelector`, and the server answered 400, 422 or 500 with a message about it, "
        "or 400 or 422 to the first page of a LIST. From now on, requests do not have it"
    )
    RESHARD = "The stream has to follow other shards, and some of them are new, or no state was complete"
    NARROW = "The stream has to follow fewer shards"
    RELOAD = "The first 401 since the last accepted request"
    UNAUTHORIZED = "A further 401 since the last accepted request, or an ERROR event of 401"
    FORBIDDEN = "403"
    NOT_FOUND = "404"
    FATAL = (
        "For a LIST: 400, 405, 406, 415 or 422. For a WatchList: 400, 405, 406 or 415. "
        f"For a watch: 405; also 400, 406, 415 or 422, if at least {MAX_EMPTY_WATCHES} watches failed before this one"
    )


@enum.unique
class Next(enum.Enum):
    """The next request."""

    AGAIN = "the same"
    RESUME = "the same watch"
    START = "start over"
    LIST = "LIST"
    LIST_ALWAYS = "LIST, also at later starts"
    WHOLE_LIST = "LIST in one page"
    PAGE = "the next page"
    WATCH = "watch"
    NOTHING = "none, the error is raised"


@enum.unique
class Wait(enum.Enum):
    """The wait before the next request."""

    NONE = "none"
    INTERVAL = "`Backoff.initial` since the last request"
    BACKOFF = "backoff"
    SLOWLY = "`Backoff.refused`, but backoff after the first refusal of an informer without objects"


class Transition(msgspec.Struct, frozen=True, gc=False):
    """The effect of a verdict in a phase.

    Attributes:
        next: The next request.
        wait: The wait before it.
        state: The state that users see from now on; None if it does not change.
    """

    next: Next
    wait: Wait
    state: State | None


LIST, PAGE, STREAM, STREAM_ONLY, WATCH = Phase

# fmt: off
ROWS: tuple[tuple[Verdict, tuple[Phase, ...], Next, Wait, State | None], ...] = (
    (Verdict.COMPLETE,     (LIST, PAGE, STREAM, STREAM_ONLY),        Next.WATCH,       Wait.NONE,     "live"),
    (Verdict.NEXT_PAGE,    (LIST, PAGE),                             Next.PAGE,        Wait.NONE,     None),
    (Verdict.PAGE_LATER,   (LIST, PAGE),                             Next.PAGE,        Wait.INTERVAL, None),
    (Verdict.ENDLESS_LIST, (LIST, PAGE),                             Next.WHOLE_LIST,  Wait.BACKOFF,  "retrying"),
    (Verdict.ENDLESS_LIST, (STREAM,),                                Next.START,       Wait.BACKOFF,  "retrying"),
    (Verdict.ENDLESS_LIST, (STREAM_ONLY,),                           Next.AGAIN,       Wait.BACKOFF,  "retrying"),
    (Verdict.RESUME,       (WATCH,),                                 Next.RESUME,      Wait.INTERVAL, None),
    (Verdict.RETRY,        (LIST, PAGE, STREAM_ONLY),                Next.AGAIN,       Wait.BACKOFF,  "retrying"),
    (Verdict.RETRY,        (WATCH,),                                 Next.RESUME,      Wait.BACKOFF,  "retrying"),
    (Verdict.RETRY,        (STREAM,),                                Next.START,       Wait.BACKOFF,  "retrying"),
    (Verdict.UNFINISHED,   (STREAM,),                                Next.LIST_ALWAYS, Wait.BACKOFF,  "retrying"),
    (Verdict.UNSUPPORTED,  (STREAM,),                                Next.LIST_ALWAYS, Wait.NONE,     None),
    (Verdict.UNSUPPORTED,  (STREAM_ONLY,),                           Next.NOTHING,     Wait.NONE,     "failed"),
    (Verdict.RELIST,       (WATCH,),                                 Next.START,       Wait.INTERVAL, "relisting"),
    (Verdict.RELIST,       (LIST, STREAM_ONLY),                      Next.AGAIN,       Wait.BACKOFF,  "retrying"),
    (Verdict.RELIST,       (PAGE,),                                  Next.WHOLE_LIST,  Wait.BACKOFF,  "retrying"),
    (Verdict.RELIST,       (STREAM,),                                Next.START,       Wait.BACKOFF,  "retrying"),
    (Verdict.RELIST_LATER, (WATCH,),                                 Next.START,       Wait.BACKOFF,  "retrying"),
    (Verdict.HEAL,         (WATCH,),                                 Next.START,       Wait.INTERVAL, "relisting"),
    (Verdict.UNSHARDED,    (LIST, PAGE, STREAM, STREAM_ONLY, WATCH), Next.AGAIN,       Wait.NONE,     None),
    (Verdict.RESHARD,      (LIST, PAGE, STREAM, STREAM_ONLY),        Next.START,       Wait.INTERVAL, None),
    (Verdict.RESHARD,      (WATCH,),                                 Next.START,       Wait.INTERVAL, "relisting"),
    (Verdict.NARROW,       (WATCH,),                                 Next.RESUME,      Wait.INTERVAL, None),
    (Verdict.RELOAD,       (LIST, PAGE, STREAM, STREAM_ONLY, WATCH), Next.AGAIN,       Wait.NONE,     "unauthorized"),
    (Verdict.UNAUTHORIZED, (LIST, PAGE, STREAM, STREAM_ONLY),        Next.AGAIN,       Wait.SLOWLY,   "unauthorized"),
    (Verdict.UNAUTHORIZED, (WATCH,),                                 Next.RESUME,      Wait.SLOWLY,   "unauthorized"),
    (Verdict.FORBIDDEN,    (LIST, PAGE, STREAM_ONLY),                Next.AGAIN,       Wait.SLOWLY,   "forbidden"),
    (Verdict.FORBIDDEN,    (WATCH,),                                 Next.RESUME,      Wait.SLOWLY,   "forbidden"),
    (Verdict.FORBIDDEN,    (STREAM,),                                Next.LIST,        Wait.NONE,     None),
    (Verdict.NOT_FOUND,    (LIST, PAGE, STREAM, STREAM_ONLY),        Next.AGAIN,       Wait.SLOWLY,   "not_found"),
    (Verdict.NOT_FOUND,    (WATCH,),                                 Next.START,       Wait.SLOWLY,   "not_found"),
    (Verdict.FATAL,        (LIST, STREAM_ONLY, WATCH),               Next.NOTHING,     Wait.NONE,     "failed"),
    (Verdict.FATAL,        (PAGE,),                                  Next.WHOLE_LIST,  Wait.BACKOFF,  "retrying"),
    (Verdict.FATAL,        (STREAM,),                                Next.LIST,        Wait.NONE,     None),
)
# fmt: on

TRANSITIONS = {
    (phase, verdict): Transition(next, wait, state) for verdict, phases, next, wait, state in ROWS for phase in phases
}
