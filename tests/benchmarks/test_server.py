"""The benchmark server, read by a plain HTTP client."""

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
from benchmarks.harness.process import SERVER, Process, python

PODS = 50
PATH = "/api/v1/pods"
STREAM = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
AS_METADATA = "application/json;as=Partial{};g=meta.k8s.io;v=v1,application/json"
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}

Found = dict[str, Any]
NAMES: Found = {"apiVersion": "v1", "kind": "Pod"}


class Served:
    """A server with a client.

    Attributes:
        do: Sends it a command.
    """

    def __init__(self, process: Process) -> None:
        self.do = process.do
        self.about = process.do("open")
        ca = self.about["ca"]
        self._trusted = None if ca is None else ssl.create_default_context(cafile=ca)

    @contextmanager
    def request(self, query: str = "", path: str = PATH, **headers: str) -> Iterator[http.client.HTTPResponse]:
        address = urlsplit(self.about["url"]).netloc
        client = (
            http.client.HTTPConnection(address, timeout=20)
            if self._trusted is None
            else http.client.HTTPSConnection(address, timeout=20, context=self._trusted)
        )
        with closing(client) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", f"{path}?{query}", headers=named)
            with connection.getresponse() as response:
                yield response

    def list(self, query: str = "", path: str = PATH, **headers: str) -> Found:
        with self.request(query, path, **headers) as response:
            assert response.status == 200
            found: Found = json.loads(response.read())
        return found

    @contextmanager
    def watch(self, query: str, path: str = PATH, **headers: str) -> Iterator[Iterator[Found]]:
        """Yields the events as they arrive, to the end of the stream."""
        with self.request(query, path, **headers) as response:
            assert response.status == 200
            yield map(json.loads, response)


@contextmanager
def serving(**more: Any) -> Iterator[Process]:
    with Process(python(SERVER), resource="pods", objects=PODS, seed=0, corpus=None, **more) as process:
        yield process


@pytest.fixture(scope="module")
def started() -> Iterator[Served]:
    with serving() as process:
        yield Served(process)


@pytest.fixture
def served(started: Served) -> Served:
    """Resets the server: only the version differs from the start."""
    started.do("reset")
    return started


@pytest.fixture(scope="module")
def pods() -> dict[str, Found]:
    """Returns the initial objects by key, with apiVersion and kind."""
    return {key_of(found): NAMES | found for found in make("pods", PODS, 0)[1]}


def without_kind(found: Found) -> Found:
    return {name: value for name, value in found.items() if name not in NAMES}


def initial_events(events: Iterator[Found]) -> tuple[list[Found], Found]:
    """Returns the objects before the first bookmark, and the bookmark."""
    objects = list[Found]()
    for event in events:
        if event["type"] == "BOOKMARK":
            return objects, event["object"]
        assert event["type"] == "ADDED"
        objects.append(event["object"])
    raise AssertionError("the stream ended before a bookmark")


def apply(events: Iterator[Found], objects: dict[str, Found], version: int) -> None:
    """Applies events to a copy, up to a version."""
    for event in events:
        found = event["object"]
        if event["type"] == "DELETED":
            del objects[key_of(found)]
        else:
            assert event["type"] == "MODIFIED"
            assert key_of(found) in objects
            objects[key_of(found)] = found
        if found["metadata"]["resourceVersion"] == str(version):
            return
    raise AssertionError(f"the stream ended before version {version}")


def listed(served: Served) -> dict[str, Found]:
    """Returns the objects of a LIST by key."""
    return {key_of(found): NAMES | found for found in served.list()["items"]}


def digest(objects: dict[str, Found]) -> Found:
    result = Digest()
    for key, found in objects.items():
        result.add_whole(key, json.loads(dump(found)))
    return result.result()


# LIST


def test_a_list_has_every_object_once_in_the_order_of_keys(served: Served, pods: dict[str, Found]) -> None:
    found = served.list()
    assert (found["kind"], found["apiVersion"]) == ("PodList", "v1")
    assert int(found["metadata"]["resourceVersion"]) > 0
    assert "continue" not in found["metadata"]
    assert found["items"] == [without_kind(pods[key]) for key in sorted(pods)]


def test_pages_are_parts_of_one_list_and_count_the_rest(served: Served) -> None:
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


def test_a_limit_is_ignored_at_resource_version_0(served: Served) -> None:
    found = served.list("limit=20&resourceVersion=0")
    assert len(found["items"]) == PODS
    assert "continue" not in found["metadata"]


def test_another_path_is_an_empty_collection(served: Served) -> None:
    assert served.list(path="/api/v1/nothings")["items"] == []
    assert served.list(path="/apis/apps/v1/pods")["items"] == []


def test_a_connection_serves_several_requests(served: Served) -> None:
    with closing(http.client.HTTPConnection(urlsplit(served.about["url"]).netloc, timeout=20)) as connection:
        for _ in range(3):
            connection.request("GET", PATH)
            assert len(json.loads(connection.getresponse().read())["items"]) == PODS


def test_open_and_sizes_describe_the_objects(served: Served, pods: dict[str, Found]) -> None:
    assert (served.about["resource"], served.about["path"]) == ("v1/pods", PATH)
    raw = [dump(without_kind(found)) for found in pods.values()]
    pruned = [json.loads(each) for each in raw]
    for found in pruned:
        found["metadata"].pop("managedFields", None)
    sizes = {"objects": PODS, "raw_bytes": sum(map(len, raw)), "pruned_bytes": sum(len(dump(each)) for each in pruned)}
    assert served.do("sizes") == sizes
    assert sizes["pruned_bytes"] < sizes["raw_bytes"]


def test_the_ceiling_reads_responses_to_the_end(served: Served) -> None:
    for found in ceiling(served.about["url"], None, PATH, PODS).values():
        assert found["objects_per_second"] > 0


def test_requests_are_counted_by_type(served: Served) -> None:
    before = served.do("request_counts")
    now = served.list()["metadata"]["resourceVersion"]
    served.list("limit=20")
    served.list(path="/api/v1/namespaces/kube-system/pods")
    served.list(path="/api/v1/namespaces/kube-system")
    for query in (STREAM, "watch=true&resourceVersion=0", "watch=true", f"watch=true&resourceVersion={now}"):
        with served.watch(query):
            pass
    after = served.do("request_counts")
    assert {name: after[name] - before.get(name, 0) for name in after} == {"list": 3, "stream": 3, "watch": 1}


# WATCH


def test_a_watch_list_has_initial_events_and_a_bookmark(served: Served, pods: dict[str, Found]) -> None:
    with served.watch(STREAM) as events:
        objects, bookmark = initial_events(events)
    assert objects == [pods[key] for key in sorted(pods)]
    assert (bookmark["kind"], bookmark["apiVersion"]) == ("Pod", "v1")
    assert bookmark["metadata"]["annotations"] == INITIAL_EVENTS_END
    assert bookmark["metadata"]["resourceVersion"] == served.list()["metadata"]["resourceVersion"]


def test_a_watch_list_continues_after_its_initial_events(served: Served) -> None:
    with served.watch(STREAM) as events:
        initial_events(events)
        version = served.do("mark")
        event = next(events)
    assert (event["type"], event["object"]["metadata"]["resourceVersion"]) == ("MODIFIED", str(version))


def test_a_watch_from_version_0_has_initial_events_only(served: Served, pods: dict[str, Found]) -> None:
    with served.watch("watch=true&resourceVersion=0&allowWatchBookmarks=true") as events:
        found = [next(events) for _ in pods]
        version = served.do("mark")
        last = next(events)
    assert {event["type"] for event in found} == {"ADDED"}
    assert [event["object"] for event in found] == [pods[key] for key in sorted(pods)]
    assert (last["type"], last["object"]["metadata"]["resourceVersion"]) == ("MODIFIED", str(version))


def test_a_watch_from_the_current_version_has_later_events(served: Served) -> None:
    now = served.list()["metadata"]["resourceVersion"]
    with served.watch(f"watch=true&resourceVersion={now}") as events:
        found = served.do("prepare", events=120)
        last = served.do("send")
        versions = [int(next(events)["object"]["metadata"]["resourceVersion"]) for _ in range(120)]
    assert found["events"] == 120
    assert versions == list(range(int(now) + 1, int(now) + 121))
    assert versions[-1] == last


@pytest.mark.parametrize("version", ["1", "999999999999"])
def test_a_watch_from_another_version_ends_with_410(served: Served, version: str) -> None:
    with served.watch(f"watch=true&resourceVersion={version}") as events:
        (event,) = events
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_an_expired_watch_gets_a_bookmark_and_then_410(served: Served) -> None:
    now = served.list()["metadata"]["resourceVersion"]
    with served.watch(STREAM) as events:
        initial_events(events)
        served.do("expire")
        bookmark, error = events
    assert bookmark["type"] == "BOOKMARK"
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) > int(now)
    assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
    with served.watch(f"watch=true&resourceVersion={bookmark['object']['metadata']['resourceVersion']}") as events:
        assert [event["type"] for event in events] == ["ERROR"]


def test_an_unseen_change_is_only_in_the_next_list(served: Served) -> None:
    before = served.list()
    with served.watch(STREAM) as events:
        initial_events(events)
        served.do("prepare", delete=0.5)
        version = served.do("expire")
        assert [event["type"] for event in events] == ["BOOKMARK", "ERROR"]
    after = served.list()
    assert int(after["metadata"]["resourceVersion"]) == version > int(before["metadata"]["resourceVersion"])
    assert len(after["items"]) == PODS // 2


def test_a_reset_restores_objects_and_ends_watches(served: Served) -> None:
    before = served.list()
    with served.watch(STREAM) as events:
        initial_events(events)
        served.do("prepare", delete=0.9)
        last = served.do("send")
        served.do("reset")
        assert len(list(events)) == PODS * 9 // 10
    after = served.list()
    assert after["items"] == before["items"]
    assert int(after["metadata"]["resourceVersion"]) > last


# Parts


@pytest.mark.parametrize("name", ["", "none"])
def test_a_field_selector_of_a_name_has_at_most_this_object(served: Served, pods: dict[str, Found], name: str) -> None:
    key = min(pods)
    namespace, own_name = key.split("/")
    path = f"/api/v1/namespaces/{namespace}/pods"
    query = f"fieldSelector=metadata.name%3D{name or own_name}"
    found = served.list(query, path=path)
    assert found["items"] == ([] if name else [without_kind(pods[key])])


def test_a_list_of_metadata_has_partial_objects(served: Served, pods: dict[str, Found]) -> None:
    found = served.list(Accept=AS_METADATA.format("ObjectMetadataList"))
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    names = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    assert found["items"] == [{**names, "metadata": pods[key]["metadata"]} for key in sorted(pods)]


def test_a_watch_of_metadata_has_partial_objects(served: Served, pods: dict[str, Found]) -> None:
    with served.watch(STREAM, Accept=AS_METADATA.format("ObjectMetadata")) as events:
        objects, bookmark = initial_events(events)
        served.do("prepare", events=1)
        served.do("send")
        served.do("mark")
        happened = [next(events), next(events)]
        served.do("expire")
        last, error = events
    assert [found["metadata"] for found in objects] == [pods[key]["metadata"] for key in sorted(pods)]
    for found in (*objects, bookmark, *(each["object"] for each in (*happened, last))):
        assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
        assert set(found) == {"kind", "apiVersion", "metadata"}
    assert [each["type"] for each in (*happened, last, error)] == ["MODIFIED", "MODIFIED", "BOOKMARK", "ERROR"]


def test_a_watch_of_metadata_has_every_event(served: Served) -> None:
    with (
        served.watch(STREAM) as whole,
        served.watch(STREAM, Accept=AS_METADATA.format("ObjectMetadata")) as part,
    ):
        initial_events(whole)
        initial_events(part)
        served.do("prepare", events=60)
        served.do("send")
        for _ in range(60):
            assert next(whole)["object"]["metadata"] == next(part)["object"]["metadata"]


def test_a_namespace_has_only_its_objects(served: Served, pods: dict[str, Found]) -> None:
    namespace = next(iter(pods)).partition("/")[0]
    wanted = [key for key in sorted(pods) if key.startswith(f"{namespace}/")]
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert 0 < len(wanted) < PODS
    assert list(map(key_of, served.list(path=path)["items"])) == wanted
    with served.watch(STREAM, path) as events:
        assert list(map(key_of, initial_events(events)[0])) == wanted


def test_a_label_selector_selects_objects_with_all_labels(served: Served, pods: dict[str, Found]) -> None:
    labels = next(
        found["metadata"]["labels"] for found in pods.values() if len(found["metadata"].get("labels", {})) > 1
    )
    one, two = list(labels.items())[:2]
    for terms in ([one], [one, two]):
        selector = "%2C".join(f"{name}%3D{value}" for name, value in terms)
        wanted = [key for key in sorted(pods) if dict(terms).items() <= pods[key]["metadata"].get("labels", {}).items()]
        assert 0 < len(wanted) < PODS
        assert list(map(key_of, served.list(f"labelSelector={selector}")["items"])) == wanted


def test_a_label_selector_selects_by_one_of_several_values(served: Served, pods: dict[str, Found]) -> None:
    name = next(iter(next(found["metadata"]["labels"] for found in pods.values() if found["metadata"].get("labels"))))
    values = sorted(
        {found["metadata"]["labels"][name] for found in pods.values() if name in found["metadata"]["labels"]}
    )
    wanted = [key for key in sorted(pods) if pods[key]["metadata"].get("labels", {}).get(name) in values[:2]]
    selector = f"{name} in ({','.join(values[:2])})".replace(" ", "%20").replace(",", "%2C")
    assert 0 < len(wanted) < PODS
    assert list(map(key_of, served.list(f"labelSelector={selector}")["items"])) == wanted


# TLS and gzip


@pytest.fixture(scope="module")
def secured() -> Iterator[Served]:
    """A server with TLS that compresses on request."""
    with serving(tls=True, gzip=True) as process:
        yield Served(process)


def test_responses_over_tls_are_the_same(secured: Served, served: Served) -> None:
    assert secured.about["url"].startswith("https://")
    assert secured.list()["items"] == served.list()["items"]
    with secured.watch(STREAM) as events:
        assert len(initial_events(events)[0]) == PODS


def test_the_ceiling_over_tls_verifies_the_certificate(secured: Served) -> None:
    for found in ceiling(secured.about["url"], secured.about["ca"], PATH, PODS).values():
        assert found["objects_per_second"] > 0


def test_the_certificate_is_not_trusted_without_its_ca(secured: Served) -> None:
    untrusting = http.client.HTTPSConnection(
        urlsplit(secured.about["url"]).netloc, timeout=20, context=ssl.create_default_context()
    )
    with closing(untrusting), pytest.raises(ssl.SSLCertVerificationError):
        untrusting.request("GET", PATH)


def test_a_list_is_compressed_on_request(secured: Served) -> None:
    with secured.request("limit=20", Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] == "gzip"
        body = response.read()
        assert len(body) == int(response.headers["Content-Length"])
    assert json.loads(gzip.decompress(body)) == secured.list("limit=20")


def test_other_lists_and_watches_are_not_compressed(secured: Served) -> None:
    with secured.request("limit=20", Accept_Encoding="identity") as response:
        assert response.headers["Content-Encoding"] is None
        assert len(json.loads(response.read())["items"]) == 20
    with secured.watch(STREAM, Accept_Encoding="gzip") as events:
        assert len(initial_events(events)[0]) == PODS


def test_without_gzip_no_response_is_compressed(served: Served) -> None:
    with served.request(Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] is None
        assert len(json.loads(response.read())["items"]) == PODS


def test_a_changed_list_is_compressed_again(secured: Served) -> None:
    def versions() -> set[str]:
        with secured.request(Accept_Encoding="gzip") as response:
            items = json.loads(gzip.decompress(response.read()))["items"]
        return {found["metadata"]["resourceVersion"] for found in items}

    before = versions()
    with secured.watch(STREAM) as events:
        initial_events(events)
        secured.do("prepare", change=1.0)
        secured.do("send")
    assert versions().isdisjoint(before)


# Changes


def test_a_mark_changes_one_object_and_sends_it_to_each_watch(served: Served) -> None:
    with served.watch(STREAM) as one, served.watch(STREAM) as other:
        objects = {key_of(found): found for found in initial_events(one)[0]}
        initial_events(other)
        version = served.do("mark")
        events = [next(one), next(other)]
    assert events[0] == events[1]
    apply(iter(events[:1]), objects, version)
    assert agree(served.do("digest"), digest(objects))


def test_a_mark_comes_after_all_earlier_events(served: Served) -> None:
    with served.watch(STREAM) as events:
        initial_events(events)
        served.do("prepare", delete=0.9)
        served.do("send")
        version = served.do("mark")
        found = [next(events) for _ in range(PODS * 9 // 10 + 1)]
    assert [event["type"] for event in found] == ["DELETED"] * (PODS * 9 // 10) + ["MODIFIED"]
    assert found[-1]["object"]["metadata"]["resourceVersion"] == str(version)


def test_the_digest_matches_what_was_sent(served: Served) -> None:
    objects = listed(served)
    assert agree(served.do("digest"), digest(objects))
    now = served.list()["metadata"]["resourceVersion"]
    with served.watch(f"watch=true&resourceVersion={now}") as events:
        for happens in ({"change": 0.5}, {"events": 3 * PODS}, {"delete": 0.2}):
            served.do("prepare", **happens)
            version = served.do("send")
            assert not agree(served.do("digest"), digest(objects))
            apply(events, objects, version)
            assert agree(served.do("digest"), digest(objects))
        served.do("prepare_churn", events=130)
        apply(events, objects, served.do("send"))
        assert agree(served.do("digest"), digest(objects))
        for happens in ({"change": 1.0}, {"delete": 0.5}):
            with served.watch(STREAM) as others:
                initial_events(others)
                served.do("prepare", **happens)
                served.do("expire")
            assert not agree(served.do("digest"), digest(objects))
            objects = listed(served)
            assert agree(served.do("digest"), digest(objects))
    assert len(objects) == PODS * 8 // 10 // 2


def test_the_identity_digest_is_part_of_the_whole_one(served: Served) -> None:
    whole, less = served.do("digest"), served.do("digest", whole=False)
    assert set(whole) - set(less) == {"content"}
    assert agree(whole, less)
