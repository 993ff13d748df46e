"""The snapshot file: loaded completely and for the same origin, or refused."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from kinform._errors import OptionError, SnapshotError
from kinform._options import Snapshot, WatchOptions
from kinform._snapshot.file import (
    PIECE_BYTES,
    SNAPSHOT_FORMAT,
    Bounds,
    Header,
    Loaded,
    Origin,
    read_snapshot,
    write_snapshot,
)
from kinform._snapshot.location import SNAPSHOT_MAGIC, Location
from kinform._store.contents import StoreContents
from kinform._store.reader import store
from kinform._store.writer import Writer
from kinform_ext._table import Dump
from tests.core.wire import batch, obj

ORIGIN = Origin(
    cluster="uid-1",
    place="here",
    resource="v1/pods",
    scope=("app=web", "", False),
    namespaces=("shop", "till"),
    prune=(("a", "b"), (), (("status.conditions", 1),)),
    transform="",
)


def pod(number: int, namespace: str, **fields: Any) -> dict[str, Any]:
    spec = {"image": f"web:{number % 7}", "text": "x" * 100}
    return obj(f"p{number}", namespace=namespace, rv=number + 1, **{"spec": spec, **fields})


def filled(objects: int = 5, streams: tuple[str, ...] = ("shop", "till")) -> Writer:
    """Makes a store in which each stream has this number of objects."""
    writer, _ = store(name="v1/pods")
    for stream in streams:
        writer.begin(stream)
        if objects:
            writer.apply(stream, batch(*(pod(number, stream) for number in range(objects))), initial=True)
        writer.commit(stream)
        while writer.sweep(stream):
            pass
    return writer


def raws(contents: StoreContents) -> dict[str, bytes]:
    table = contents.table
    return {table.key_of(id): table.raw_of(id) for id in table.ids()}


def header_of(writer: Writer, *, origin: Origin = ORIGIN, taken: float | None = None) -> Header:
    numbers = writer.numbers(["shop", "till"])
    return Header(
        origin=origin,
        byteorder=sys.byteorder,
        taken=time.time() if taken is None else taken,
        streams={"shop": (numbers["shop"], "17"), "till": (numbers["till"], "19")},
    )


def pieces(dump: Dump, size: int = PIECE_BYTES) -> Iterator[bytes]:
    return iter(lambda: dump.read(size), b"")


def save(writer: Writer, path: Any, *, size: int = PIECE_BYTES, **header: Any) -> bytes:
    """Writes a snapshot of a writer and returns the bytes of the file."""
    dump = Dump(writer.contents.table)
    written = write_snapshot(
        Location(str(path)), header_of(writer, **header), pieces(dump, size), len(dump), threading.Event()
    )
    data: bytes = path.read_bytes()
    assert len(data) == written
    return data


def load(path: Any, *, origin: Origin = ORIGIN, indexes: dict[str, str] | None = None, **bounds: Any) -> Loaded | None:
    return read_snapshot(
        Location(str(path)), origin, StoreContents("v1/pods", indexes or {}), Bounds(**bounds), threading.Event()
    )


def forms_of(contents: StoreContents) -> dict[str, str]:
    table = contents.table
    return {table.key_of(id): table.form_of(id) for id in table.ids()}


def split(whole: bytes) -> list[bytes]:
    """Returns the pieces of a file, their starts included."""
    found, start = [], 10
    while start < len(whole):
        end = start + 9 + int.from_bytes(whole[start + 1 : start + 5], "little")
        found.append(whole[start:end])
        start = end
    return found


def refused(path: Any, **options: Any) -> str:
    """Returns why the file is refused."""
    with pytest.raises(SnapshotError) as caught:
        load(path, **options)
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    return caught.value.why


class TestRoundTrip:
    def test_all_objects_are_restored_in_their_stream(self, tmp_path):
        writer = filled()
        save(writer, tmp_path / "s")
        loaded = load(tmp_path / "s", indexes={"app": "spec.image"})
        assert raws(loaded.contents) == raws(writer.contents)
        assert loaded.resource_versions == {"shop": "17", "till": "19"}
        assert sorted(loaded.contents.table.index_keys(0, "web:3")) == ["shop/p3", "till/p3"]
        taken = Writer(loaded.contents)
        asyncio.run(taken.adopt(loaded.contents, loaded.numbers))
        while taken.drop("shop"):
            pass
        assert {key.split("/")[0] for key in raws(loaded.contents)} == {"till"}

    def test_loading_keeps_how_each_object_is_encoded(self, tmp_path):
        writer = filled(1_000)
        save(writer, tmp_path / "s")
        loaded = load(tmp_path / "s").contents
        forms = Counter(forms_of(loaded).values())
        assert forms_of(loaded) == forms_of(writer.contents)
        assert forms["sibling"] > 1_900
        assert forms["template"] == loaded.table.stats()["templates"]
        assert loaded.memory_usage().held_bytes < 1.1 * writer.memory_usage().held_bytes

    def test_a_loaded_collection_encodes_new_objects_as_before(self, tmp_path):
        writer = filled(1_000)
        save(writer, tmp_path / "s")
        loaded = load(tmp_path / "s")
        later = Writer(loaded.contents)
        asyncio.run(later.adopt(loaded.contents, loaded.numbers))
        for each in (writer, later):
            each.apply("shop", batch(*(pod(number, "shop") for number in range(1_000, 2_000))), initial=False)
        assert raws(loaded.contents) == raws(writer.contents)
        assert later.memory_usage().held_bytes < 1.1 * writer.memory_usage().held_bytes

    def test_an_empty_collection_is_restored(self, tmp_path):
        save(filled(0), tmp_path / "s")
        loaded = load(tmp_path / "s")
        assert len(loaded.contents.table) == 0
        assert loaded.resource_versions == {"shop": "17", "till": "19"}

    def test_a_missing_file_is_not_an_error(self, tmp_path):
        assert load(tmp_path / "s") is None


class TestDamage:
    def test_a_truncated_file_is_refused(self, tmp_path):
        path = tmp_path / "s"
        whole = save(filled(200), path)
        for hundredth in range(100):
            path.write_bytes(whole[: len(whole) * hundredth // 100])
            refused(path)
        path.write_bytes(whole[:-1])
        refused(path)

    def test_a_small_file_with_any_byte_changed_is_refused(self, tmp_path):
        path = tmp_path / "s"
        whole = save(filled(2), path)
        for position in range(len(whole)):
            flipped = whole[position] ^ 1 << position % 8
            path.write_bytes(whole[:position] + bytes([flipped]) + whole[position + 1 :])
            refused(path)

    def test_a_large_file_with_a_byte_changed_is_refused(self, tmp_path):
        path = tmp_path / "s"
        whole = save(filled(2_000), path)
        for position in random.Random(7).sample(range(len(whole)), 200):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
            refused(path)

    def test_a_file_with_data_after_its_end_is_refused(self, tmp_path):
        path = tmp_path / "s"
        whole = save(filled(), path)
        for more in (b"\0", whole, whole[10:]):
            path.write_bytes(whole + more)
            refused(path)

    def test_missing_repeated_or_swapped_pieces_are_refused(self, tmp_path):
        path = tmp_path / "s"
        whole = save(filled(20), path, size=500)
        preface, spans = whole[:10], split(whole)
        assert len(spans) > 5
        for changed in (spans[:2] + spans[3:], [*spans[:3], *spans[2:]], [*spans[:2], spans[3], spans[2], *spans[4:]]):
            path.write_bytes(preface + b"".join(changed))
            refused(path)

    @pytest.mark.parametrize("content", [b"", b"{}", b"\0" * 100, b"kinform\0", os.urandom(5_000)])
    def test_a_foreign_file_is_refused(self, tmp_path, content):
        (tmp_path / "s").write_bytes(content)
        assert "snapshot" in refused(tmp_path / "s")

    def test_a_pipe_or_a_folder_is_refused_without_blocking(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "folder").mkdir()
        assert refused(tmp_path / "pipe") == "it is a FIFO, not a regular file"
        assert refused(tmp_path / "folder") == "it is a folder, not a regular file"

    def test_a_file_without_read_permission_is_refused(self, tmp_path, monkeypatch):
        save(filled(), tmp_path / "s")

        def denied(*_: object, **__: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", denied)
        assert refused(tmp_path / "s") == "cannot be read: Permission denied"

    @pytest.mark.parametrize("format", [1, SNAPSHOT_FORMAT - 1, SNAPSHOT_FORMAT + 1])
    def test_another_format_is_refused(self, tmp_path, format):
        whole = save(filled(), tmp_path / "s")
        (tmp_path / "s").write_bytes(whole[:8] + format.to_bytes(2, "little") + whole[10:])
        assert refused(tmp_path / "s") == f"has format {format}; this version of kinform reads format {SNAPSHOT_FORMAT}"

    def test_a_refusal_does_not_show_file_contents(self, tmp_path):
        path = tmp_path / "s"
        whole = save(filled(), path)
        at = whole.index(b"shop")
        path.write_bytes(whole[:at] + b"hush" + whole[at + 4 :])
        assert "hush" not in refused(path)


class TestOrigin:
    @pytest.mark.parametrize(
        ("other", "why"),
        [
            ({"cluster": "uid-2"}, "written for another cluster"),
            ({"cluster": "", "place": "there"}, "written for another cluster"),
            ({"resource": "v1/secrets"}, "written for another resource"),
            ({"scope": ("", "", False)}, "written for another scope"),
            ({"scope": ("app=web", "", True)}, "written for another scope"),
            ({"namespaces": ("shop",)}, "written for other namespaces"),
            ({"namespaces": None}, "written for other namespaces"),
            ({"prune": (("a",), (), ())}, "written for other pruning"),
            ({"transform": "mine.strip"}, "written for another transform"),
        ],
    )
    def test_a_snapshot_of_another_origin_is_refused(self, tmp_path, other, why):
        save(filled(), tmp_path / "s")
        assert refused(tmp_path / "s", origin=msgspec.structs.replace(ORIGIN, **other)) == why

    @pytest.mark.parametrize("other", [{"place": "moved"}, {"cluster": ""}])
    def test_a_cluster_is_identified_by_uid_or_else_by_address(self, tmp_path, other):
        save(filled(), tmp_path / "s")
        assert load(tmp_path / "s", origin=msgspec.structs.replace(ORIGIN, **other)) is not None

    def test_a_file_older_than_max_age_is_refused(self, tmp_path):
        save(filled(), tmp_path / "s", taken=time.time() - 100)
        assert load(tmp_path / "s") is not None
        assert load(tmp_path / "s", max_age=200) is not None
        assert "s old; max_age is 60 s" in refused(tmp_path / "s", max_age=60)

    def test_a_file_from_the_future_is_refused_with_max_age(self, tmp_path):
        save(filled(), tmp_path / "s", taken=time.time() + 1000)
        assert "max_age" in refused(tmp_path / "s", max_age=60)


class TestWriting:
    def test_only_the_owner_can_read_the_file_at_any_time(self, tmp_path, monkeypatch):
        modes = []
        before = os.umask(0)
        try:
            monkeypatch.setattr(os, "fsync", lambda fd: modes.append(stat.S_IMODE(os.fstat(fd).st_mode)))
            (tmp_path / "s").write_bytes(SNAPSHOT_MAGIC + b"old, and readable by all")
            (tmp_path / "s").chmod(0o644)
            save(filled(), tmp_path / "s")
        finally:
            os.umask(before)
        assert modes[0] == 0o600
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600

    def test_the_file_and_then_its_folder_are_synced(self, tmp_path, monkeypatch):
        synced = []
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
        save(filled(), tmp_path / "s")
        assert synced == [False, True]

    @pytest.mark.parametrize("failing", ["fsync", "replace"])
    def test_a_failed_write_leaves_only_the_old_file(self, tmp_path, monkeypatch, failing):
        old = save(filled(3), tmp_path / "s")

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, failing, full)
        with pytest.raises(OSError, match="No space"):
            save(filled(9), tmp_path / "s")
        assert [found.name for found in tmp_path.iterdir()] == ["s"]
        assert (tmp_path / "s").read_bytes() == old

    def test_a_cancelled_write_leaves_no_file(self, tmp_path):
        writer, cancelled = filled(3), threading.Event()
        cancelled.set()
        with pytest.raises(InterruptedError):
            write_snapshot(Location(str(tmp_path / "s")), header_of(writer), iter([b"x"]), 1, cancelled)
        assert not list(tmp_path.iterdir())

    def test_a_file_holds_one_state_despite_concurrent_writes(self, tmp_path):
        writer = filled(300)
        expected = raws(writer.contents)
        dump = Dump(writer.contents.table)

        def changing() -> Iterator[bytes]:
            for step, piece in enumerate(pieces(dump, 1_000)):
                yield piece
                changed = [obj(f"p{n}", rv=1_000 + step, spec={"step": step}) for n in range(step, step + 50)]
                writer.apply("shop", batch(*changed), initial=False)
                writer.apply("till", batch(obj(f"p{step}", namespace="till"), verb="DELETED"), initial=False)
                writer.contents.table.compact(1 << 20)

        write_snapshot(Location(str(tmp_path / "s")), header_of(writer), changing(), len(dump), threading.Event())
        assert raws(writer.contents) != expected
        assert raws(load(tmp_path / "s").contents) == expected


class TestOptions:
    @pytest.mark.parametrize("path", ["", None, 7, b"/bytes"])
    def test_an_invalid_path_is_refused(self, path):
        with pytest.raises(OptionError, match="snapshot"):
            Snapshot.of(path)
        with pytest.raises(OptionError, match=r"Snapshot\.path"):
            Snapshot(path=path)

    @pytest.mark.parametrize("field", ["max_age", "interval"])
    @pytest.mark.parametrize("value", [0, -1, float("inf"), "1", True])
    def test_an_invalid_time_is_refused(self, field, value):
        with pytest.raises(OptionError, match=rf"Snapshot\.{field}"):
            Snapshot(path="s", **{field: value})

    def test_a_path_gets_the_default_options(self, tmp_path):
        assert Snapshot.of(tmp_path / "s") == Snapshot(
            path=tmp_path / "s", max_age=None, interval=300.0, allow_insecure_permissions=False
        )

    def test_a_flag_must_be_true_or_false(self):
        with pytest.raises(OptionError, match=r"Snapshot\.allow_insecure_permissions"):
            Snapshot(path="s", allow_insecure_permissions=1)

    @pytest.mark.parametrize("value", [-1, float("inf"), "1", True])
    def test_an_invalid_jitter_is_refused(self, value):
        with pytest.raises(OptionError, match=r"WatchOptions\.start_jitter"):
            WatchOptions(start_jitter=value)
