"""The benchmarks' own API server, asked by a plain HTTP client: that what is measured is followed as it really is."""

from __future__ import annotations

import gzip
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.corpus import dump, key_of, make
from benchmarks.harness.ceiling import ceiling
from benchmarks.harness.digest import Digest, agree
from benchmarks.harness.process import Process, python
from tests.support.tls import CERTIFICATES

PODS = 50
PATH = "/api/v1/pods"
STREAM = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
AS_METADATA = "application/json;as=Partial{};g=meta.k8s.io;v=v1,application/json"
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}

Found = dict[str, Any]
NAMES: Found = {"apiVersion": "v1", "kind": "Pod"}


class Served:
    """A server, and what is asked of it.

    Attributes:
        do: Gives it an order.
    """

    def __init__(self, process: Process, trusted: ssl.SSLContext | None = None) -> None:
        self.do = process.do
        self.about = process.do("open")
        self._trusted = trusted

    @contextmanager
    def asked(self, query: str = "", path: str = PATH, **headers: str) -> Iterator[http.client.HTTPResponse]:
        place = urlsplit(self.about["url"]).netloc
        made = (
            http.client.HTTPConnection(place, timeout=20)
            if self._trusted is None
            else http.client.HTTPSConnection(place, timeout=20, context=self._trusted)
        )
        with closing(made) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", f"{path}?{query}", headers=named)
            with connection.getresponse() as response:
                yield response

    def list(self, query: str = "", path: str = PATH, **headers: str) -> Found:
        with self.asked(query, path, **headers) as response:
            assert response.status == 200
            told: Found = json.loads(response.read())
        return told

    @contextmanager
    def watch(self, query: str, path: str = PATH, **headers: str) -> Iterator[Iterator[Found]]:
        """The events, each as it comes, to the end of the stream."""
        with self.asked(query, path, **headers) as response:
            assert response.status == 200
            yield map(json.loads, response)


@contextmanager
def serving(**more: Any) -> Iterator[Process]:
    with Process(
        python("benchmarks/harness/server.py"), resource="pods", objects=PODS, seed=0, corpus=None, **more
    ) as process:
        yield process


@pytest.fixture(scope="module")
def started() -> Iterator[Served]:
    with serving() as process:
        yield Served(process)


@pytest.fixture
def served(started: Served) -> Served:
    """As it was at first, but for the version; nobody watches."""
    started.do("reset")
    return started


@pytest.fixture(scope="module")
def pods() -> dict[str, Found]:
    """What is served at first, by key, each with its kind, which the items of a LIST do not tell."""
    return {key_of(found): NAMES | found for found in make("pods", PODS, 0)[1]}


def nameless(found: Found) -> Found:
    return {name: value for name, value in found.items() if name not in NAMES}


def state(events: Iterator[Found]) -> tuple[list[Found], Found]:
    """The objects that come before the first bookmark, and that."""
    objects = list[Found]()
    for event in events:
        if event["type"] == "BOOKMARK":
            return objects, event["object"]
        assert event["type"] == "ADDED"
        objects.append(event["object"])
    raise AssertionError("the stream ended before a bookmark came")


def take(events: Iterator[Found], held: dict[str, Found], version: int) -> None:
    """Does to what is held what events tell, up to that version."""
    for event in events:
        found = event["object"]
        if event["type"] == "DELETED":
            del held[key_of(found)]
        else:
            assert event["type"] == "MODIFIED"
            assert key_of(found) in held
            held[key_of(found)] = found
        if found["metadata"]["resourceVersion"] == str(version):
            return
    raise AssertionError(f"the stream ended before version {version} came")


def listed(served: Served) -> dict[str, Found]:
    """What a LIST brings, by key."""
    return {key_of(found): NAMES | found for found in served.list()["items"]}


def digest(held: dict[str, Found]) -> Found:
    told = Digest()
    for key, found in held.items():
        told.add_whole(key, json.loads(dump(found)))
    return told.result()


# LIST


def test_a_list_brings_every_object_once_in_the_order_of_keys(served: Served, pods: dict[str, Found]) -> None:
    told = served.list()
    assert (told["kind"], told["apiVersion"]) == ("PodList", "v1")
    assert int(told["metadata"]["resourceVersion"]) > 0
    assert "continue" not in told["metadata"]
    assert told["items"] == [nameless(pods[key]) for key in sorted(pods)]


def test_pages_bring_the_same_as_one_list_and_say_how_much_is_left(served: Served) -> None:
    sizes, left, items, more = list[int](), list[int](), list[Found](), ""
    while True:
        page = served.list(f"limit=20{more}")
        sizes.append(len(page["items"]))
        left.append(page["metadata"].get("remainingItemCount", 0))
        items += page["items"]
        if "continue" not in page["metadata"]:
            break
        more = f"&continue={page['metadata']['continue']}"
    assert (sizes, left) == ([20, 20, 10], [30, 10, 0])
    assert items == served.list()["items"]


def test_a_limit_is_not_looked_at_where_any_version_will_do(served: Served) -> None:
    told = served.list("limit=20&resourceVersion=0")
    assert len(told["items"]) == PODS
    assert "continue" not in told["metadata"]


def test_a_path_of_something_else_is_an_empty_collection(served: Served) -> None:
    assert served.list(path="/api/v1/nothings")["items"] == []
    assert served.list(path="/apis/apps/v1/pods")["items"] == []


def test_a_connection_is_used_for_one_request_after_another(served: Served) -> None:
    with closing(http.client.HTTPConnection(urlsplit(served.about["url"]).netloc, timeout=20)) as connection:
        for _ in range(3):
            connection.request("GET", PATH)
            assert len(json.loads(connection.getresponse().read())["items"]) == PODS


def test_what_it_says_of_itself_is_so(served: Served, pods: dict[str, Found]) -> None:
    assert (served.about["resource"], served.about["path"]) == ("v1/pods", PATH)
    raw = [dump(nameless(found)) for found in pods.values()]
    pruned = [json.loads(each) for each in raw]
    for found in pruned:
        found["metadata"].pop("managedFields", None)
    sizes = {"objects": PODS, "raw_bytes": sum(map(len, raw)), "pruned_bytes": sum(len(dump(each)) for each in pruned)}
    assert served.do("sizes") == sizes
    assert sizes["pruned_bytes"] < sizes["raw_bytes"]


def test_its_own_ceiling_is_read_to_the_end(served: Served) -> None:
    for found in ceiling(served.about["url"], PATH, PODS).values():
        assert found["objects_per_second"] > 0


def test_requests_for_the_collection_are_counted_by_what_they_bring(served: Served) -> None:
    before = served.do("asked")
    now = served.list()["metadata"]["resourceVersion"]
    served.list("limit=20")
    served.list(path="/api/v1/namespaces/kube-system/pods")
    served.list(path="/api/v1/namespaces/kube-system")
    for query in (STREAM, "watch=true&resourceVersion=0", "watch=true", f"watch=true&resourceVersion={now}"):
        with served.watch(query):
            pass
    after = served.do("asked")
    assert {name: after[name] - before.get(name, 0) for name in after} == {"list": 3, "stream": 3, "watch": 1}


# WATCH


def test_a_watch_list_begins_with_the_state_and_a_bookmark_ends_it(served: Served, pods: dict[str, Found]) -> None:
    with served.watch(STREAM) as events:
        objects, bookmark = state(events)
    assert objects == [pods[key] for key in sorted(pods)]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("Pod", "v1")
    assert bookmark["metadata"]["annotations"] == INITIAL_EVENTS_END
    assert bookmark["metadata"]["resourceVersion"] == served.list()["metadata"]["resourceVersion"]


def test_after_its_initial_events_a_watch_list_goes_on(served: Served) -> None:
    with served.watch(STREAM) as events:
        state(events)
        version = served.do("mark")
        event = next(events)
    assert (event["type"], event["object"]["metadata"]["resourceVersion"]) == ("MODIFIED", str(version))


def test_a_watch_from_version_0_begins_with_the_state_and_no_bookmark_ends_it(
    served: Served, pods: dict[str, Found]
) -> None:
    with served.watch("watch=true&resourceVersion=0&allowWatchBookmarks=true") as events:
        told = [next(events) for _ in pods]
        version = served.do("mark")
        last = next(events)
    assert {event["type"] for event in told} == {"ADDED"}
    assert [event["object"] for event in told] == [pods[key] for key in sorted(pods)]
    assert (last["type"], last["object"]["metadata"]["resourceVersion"]) == ("MODIFIED", str(version))


def test_a_watch_from_the_present_version_brings_only_what_happens_then(served: Served) -> None:
    now = served.list()["metadata"]["resourceVersion"]
    with served.watch(f"watch=true&resourceVersion={now}") as events:
        told = served.do("prepare", events=120)
        last = served.do("go")
        versions = [int(next(events)["object"]["metadata"]["resourceVersion"]) for _ in range(120)]
    assert told["events"] == 120
    assert versions == list(range(int(now) + 1, int(now) + 121))
    assert versions[-1] == last


@pytest.mark.parametrize("version", ["1", "999999999999"])
def test_a_watch_from_any_other_version_ends_in_an_error_event_of_code_410(served: Served, version: str) -> None:
    with served.watch(f"watch=true&resourceVersion={version}") as events:
        (event,) = events
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_watch_that_expires_is_told_a_newer_version_and_then_the_410(served: Served) -> None:
    now = served.list()["metadata"]["resourceVersion"]
    with served.watch(STREAM) as events:
        state(events)
        served.do("expire")
        bookmark, error = events
    assert bookmark["type"] == "BOOKMARK"
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) > int(now)
    assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
    with served.watch(f"watch=true&resourceVersion={bookmark['object']['metadata']['resourceVersion']}") as events:
        assert [event["type"] for event in events] == ["ERROR"]


def test_what_happens_unseen_is_in_the_next_list_alone(served: Served) -> None:
    before = served.list()
    with served.watch(STREAM) as events:
        state(events)
        served.do("prepare", delete=0.5)
        version = served.do("expire")
        assert [event["type"] for event in events] == ["BOOKMARK", "ERROR"]
    after = served.list()
    assert int(after["metadata"]["resourceVersion"]) == version > int(before["metadata"]["resourceVersion"])
    assert len(after["items"]) == PODS // 2


def test_a_reset_takes_everything_back_but_the_version_and_ends_watches(served: Served) -> None:
    before = served.list()
    with served.watch(STREAM) as events:
        state(events)
        served.do("prepare", delete=0.9)
        last = served.do("go")
        served.do("reset")
        assert len(list(events)) == PODS * 9 // 10
    after = served.list()
    assert after["items"] == before["items"]
    assert int(after["metadata"]["resourceVersion"]) > last


# Parts


def test_metadata_alone_is_listed_as_partial_objects(served: Served, pods: dict[str, Found]) -> None:
    told = served.list(Accept=AS_METADATA.format("ObjectMetadataList"))
    assert (told["kind"], told["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    names = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    assert told["items"] == [{**names, "metadata": pods[key]["metadata"]} for key in sorted(pods)]


def test_metadata_alone_is_watched_as_partial_objects_bookmarks_among_them(
    served: Served, pods: dict[str, Found]
) -> None:
    with served.watch(STREAM, Accept=AS_METADATA.format("ObjectMetadata")) as events:
        objects, bookmark = state(events)
        served.do("prepare", events=1)
        served.do("go")
        served.do("mark")
        happened = [next(events), next(events)]
        served.do("expire")
        last, error = events
    assert [found["metadata"] for found in objects] == [pods[key]["metadata"] for key in sorted(pods)]
    for found in (*objects, bookmark, *(each["object"] for each in (*happened, last))):
        assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
        assert set(found) == {"kind", "apiVersion", "metadata"}
    assert [each["type"] for each in (*happened, last, error)] == ["MODIFIED", "MODIFIED", "BOOKMARK", "ERROR"]


def test_who_watches_metadata_alone_is_told_as_much_as_who_watches_all(served: Served) -> None:
    with (
        served.watch(STREAM) as whole,
        served.watch(STREAM, Accept=AS_METADATA.format("ObjectMetadata")) as part,
    ):
        state(whole)
        state(part)
        served.do("prepare", events=60)
        served.do("go")
        for _ in range(60):
            assert next(whole)["object"]["metadata"] == next(part)["object"]["metadata"]


def test_of_one_namespace_come_its_objects_alone(served: Served, pods: dict[str, Found]) -> None:
    namespace = next(iter(pods)).partition("/")[0]
    wanted = [key for key in sorted(pods) if key.startswith(f"{namespace}/")]
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert 0 < len(wanted) < PODS
    assert list(map(key_of, served.list(path=path)["items"])) == wanted
    with served.watch(STREAM, path) as events:
        assert list(map(key_of, state(events)[0])) == wanted


def test_a_label_selector_chooses_who_has_all_of_its_labels(served: Served, pods: dict[str, Found]) -> None:
    labels = next(
        found["metadata"]["labels"] for found in pods.values() if len(found["metadata"].get("labels", {})) > 1
    )
    one, two = list(labels.items())[:2]
    for terms in ([one], [one, two]):
        selector = "%2C".join(f"{name}%3D{value}" for name, value in terms)
        wanted = [key for key in sorted(pods) if dict(terms).items() <= pods[key]["metadata"].get("labels", {}).items()]
        assert 0 < len(wanted) < PODS
        assert list(map(key_of, served.list(f"labelSelector={selector}")["items"])) == wanted


# Over TLS, and compressed


@pytest.fixture(scope="module")
def secured() -> Iterator[Served]:
    """Over TLS, and it compresses for who asks it to."""
    with serving(certificate=str(CERTIFICATES / "server.pem"), zipped=True) as process:
        yield Served(process, ssl.create_default_context(cafile=str(CERTIFICATES / "ca.pem")))


def test_over_tls_it_sends_the_same(secured: Served, served: Served) -> None:
    assert secured.about["url"].startswith("https://")
    assert secured.list()["items"] == served.list()["items"]
    with secured.watch(STREAM) as events:
        assert len(state(events)[0]) == PODS


def test_over_tls_it_has_a_certificate_that_is_not_trusted_without_its_ca(secured: Served) -> None:
    stranger = http.client.HTTPSConnection(
        urlsplit(secured.about["url"]).netloc, timeout=20, context=ssl.create_default_context()
    )
    with closing(stranger), pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", PATH)


def test_a_list_is_compressed_for_who_asks_for_it(secured: Served) -> None:
    with secured.asked("limit=20", Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] == "gzip"
        body = response.read()
        assert len(body) == int(response.headers["Content-Length"])
    assert json.loads(gzip.decompress(body)) == secured.list("limit=20")


def test_a_list_is_compressed_for_nobody_else_and_a_watch_never(secured: Served) -> None:
    with secured.asked("limit=20", Accept_Encoding="identity") as response:
        assert response.headers["Content-Encoding"] is None
        assert len(json.loads(response.read())["items"]) == 20
    with secured.watch(STREAM, Accept_Encoding="gzip") as events:
        assert len(state(events)[0]) == PODS


def test_a_server_that_does_not_compress_is_not_moved_by_who_asks(served: Served) -> None:
    with served.asked(Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] is None
        assert len(json.loads(response.read())["items"]) == PODS


def test_what_was_compressed_is_not_sent_once_it_has_changed(secured: Served) -> None:
    def versions() -> set[str]:
        with secured.asked(Accept_Encoding="gzip") as response:
            items = json.loads(gzip.decompress(response.read()))["items"]
        return {found["metadata"]["resourceVersion"] for found in items}

    before = versions()
    with secured.watch(STREAM) as events:
        state(events)
        secured.do("prepare", change=1.0)
        secured.do("go")
    assert versions().isdisjoint(before)


# What happens


def test_a_mark_changes_one_object_and_tells_every_watch(served: Served) -> None:
    with served.watch(STREAM) as one, served.watch(STREAM) as other:
        held = {key_of(found): found for found in state(one)[0]}
        state(other)
        version = served.do("mark")
        events = [next(one), next(other)]
    assert events[0] == events[1]
    take(iter(events[:1]), held, version)
    assert agree(served.do("digest"), digest(held))


def test_a_mark_comes_after_all_that_happened_before_it(served: Served) -> None:
    with served.watch(STREAM) as events:
        state(events)
        served.do("prepare", delete=0.9)
        served.do("go")
        version = served.do("mark")
        told = [next(events) for _ in range(PODS * 9 // 10 + 1)]
    assert [event["type"] for event in told] == ["DELETED"] * (PODS * 9 // 10) + ["MODIFIED"]
    assert told[-1]["object"]["metadata"]["resourceVersion"] == str(version)


def test_what_was_sent_is_what_the_digest_tells_all_through(served: Served) -> None:
    held = listed(served)
    assert agree(served.do("digest"), digest(held))
    now = served.list()["metadata"]["resourceVersion"]
    with served.watch(f"watch=true&resourceVersion={now}") as events:
        for happens in ({"change": 0.5}, {"events": 3 * PODS}, {"delete": 0.2}):
            served.do("prepare", **happens)
            version = served.do("go")
            assert not agree(served.do("digest"), digest(held))
            take(events, held, version)
            assert agree(served.do("digest"), digest(held))
        served.do("prepare_churn", events=130)
        take(events, held, served.do("go"))
        assert agree(served.do("digest"), digest(held))
        for happens in ({"change": 1.0}, {"delete": 0.5}):
            with served.watch(STREAM) as others:
                state(others)
                served.do("prepare", **happens)
                served.do("expire")
            assert not agree(served.do("digest"), digest(held))
            held = listed(served)
            assert agree(served.do("digest"), digest(held))
    assert len(held) == PODS * 8 // 10 // 2


def test_a_digest_of_who_objects_are_is_part_of_that_of_all(served: Served) -> None:
    whole, less = served.do("digest"), served.do("digest", whole=False)
    assert set(whole) - set(less) == {"content"}
    assert agree(whole, less)
