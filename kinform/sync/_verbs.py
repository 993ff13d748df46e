"""The blocking form of the verbs of the Kubernetes API, from `list` to `delete`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

import msgspec

import kinform
from kinform import KinformError, Prune, Resource, Scope
from kinform._connection.bodies import Propagation
from kinform._connection.listing import list_objects
from kinform._connection.verbs import DEFAULT_TIMEOUT, How, list_spec
from kinform._decoding import DICT, Decoder, T, decode_object, make_decoder
from kinform.sync._iteration import Iteration
from kinform.sync._lifetime import Lifetime

BATCH_OBJECTS = 64
"""The most objects of a list that are taken from the event loop at once."""
BATCH_BYTES = 256 << 10
"""Bytes of JSON after which no further object is taken."""


class Verbs:
    """The verbs, each of which waits for the response.

    Args:
        connection: The connection in the event loop.
        lifetime: Its lifetime.
    """

    def __init__(self, connection: kinform.Connection, lifetime: Lifetime) -> None:
        self._connection = connection
        self._lifetime = lifetime

    def list(
        self,
        resource: Resource | str,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        scope: Scope | None = None,
        prune: Prune | None = None,
        page_size: int = 500,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Generator[T, None, None]:
        """Yields the objects of a collection, which it requests in pages.

        See `kinform.Connection.list`. A thread gets the objects in batches of about 256 KiB of JSON. Leaving the loop
        closes the connection to the server.
        """
        spec = list_spec(resource, type, scope, prune, page_size, timeout)
        raw = list_objects(self._connection, spec, timeout=timeout)
        return _decoded(Iteration(f"list {spec.name()}", _batches(raw)), make_decoder(type))

    def get(
        self,
        resource: Resource | str,
        key: str,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        subresource: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Returns one object in its newest state.

        See `kinform.Connection.get`.
        """
        return self._lifetime.call(
            self._connection.get, resource, key, type=type, subresource=subresource, timeout=timeout
        )

    def create(
        self,
        resource: Resource | str,
        obj: Mapping[str, Any] | msgspec.Struct,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        field_manager: str | None = None,
        dry_run: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Creates an object, in the namespace that its metadata names.

        See `kinform.Connection.create`.
        """
        return self._lifetime.call(
            self._connection.create,
            resource,
            obj,
            type=type,
            field_manager=field_manager,
            dry_run=dry_run,
            timeout=timeout,
        )

    def apply(
        self,
        resource: Resource | str,
        obj: Mapping[str, Any] | msgspec.Struct,
        *,
        field_manager: str,
        force: bool = False,
        type: type[T] = DICT,  # type: ignore[assignment]
        subresource: str = "",
        dry_run: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Creates an object, or merges it into the stored one, by server-side apply.

        See `kinform.Connection.apply`.
        """
        return self._lifetime.call(
            self._connection.apply,
            resource,
            obj,
            field_manager=field_manager,
            force=force,
            type=type,
            subresource=subresource,
            dry_run=dry_run,
            timeout=timeout,
        )

    def patch(
        self,
        resource: Resource | str,
        key: str,
        patch: Mapping[str, Any] | msgspec.Struct | Sequence[Any],
        *,
        how: How = "merge",
        type: type[T] = DICT,  # type: ignore[assignment]
        subresource: str = "",
        field_manager: str | None = None,
        dry_run: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Changes parts of an object.

        See `kinform.Connection.patch`.
        """
        return self._lifetime.call(
            self._connection.patch,
            resource,
            key,
            patch,
            how=how,
            type=type,
            subresource=subresource,
            field_manager=field_manager,
            dry_run=dry_run,
            timeout=timeout,
        )

    def replace(
        self,
        resource: Resource | str,
        obj: Mapping[str, Any] | msgspec.Struct,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        subresource: str = "",
        field_manager: str | None = None,
        dry_run: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Replaces an object as a whole.

        See `kinform.Connection.replace`.
        """
        return self._lifetime.call(
            self._connection.replace,
            resource,
            obj,
            type=type,
            subresource=subresource,
            field_manager=field_manager,
            dry_run=dry_run,
            timeout=timeout,
        )

    def delete(
        self,
        resource: Resource | str,
        key: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation | None = None,
        grace_period: int | None = None,
        dry_run: bool = False,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> dict[str, Any]:
        """Deletes an object.

        See `kinform.Connection.delete`.
        """
        return self._lifetime.call(
            self._connection.delete,
            resource,
            key,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
            grace_period=grace_period,
            dry_run=dry_run,
            timeout=timeout,
        )


def _decoded(batches: Iteration[list[tuple[str, bytes]]], decoder: Decoder[T]) -> Generator[T, None, None]:
    """Decodes in the thread that iterates."""
    with closing(iter(batches)) as found:
        for batch in found:
            for key, raw in batch:
                yield decode_object(decoder, key, raw)
            del batch


async def _batches(
    objects: AsyncGenerator[tuple[str, bytes], None],
) -> AsyncGenerator[list[tuple[str, bytes]], None]:
    """Collects objects, so that the threads change rarely.

    An error comes after the objects before it.
    """
    batch: list[tuple[str, bytes]] = []
    size = 0
    async with aclosing(objects):
        try:
            async for key, raw in objects:
                batch.append((key, raw))
                size += len(raw)
                if len(batch) >= BATCH_OBJECTS or size >= BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
        except KinformError:
            if batch:
                yield batch
            raise
    if batch:
        yield batch
