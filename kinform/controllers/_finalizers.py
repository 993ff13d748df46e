"""Adds and removes a finalizer, without a loss of others.

Each write is a merge patch for one resourceVersion, since such a patch replaces the whole list.
Source: controller-runtime's `controllerutil.AddFinalizer`, "Finalizers" of the Kubernetes documentation.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kinform import Connection, Informer
from kinform._checks import require_instance, require_match
from kinform._decoding import DICT, T, check_type, decode_object, make_decoder
from kinform._errors import ConflictError, NotFoundError
from kinform._options import Resource
from kinform._printable import printable
from kinform.controllers._identity import QUALIFIED_NAME, AnyIdentity, Identity, read_identity

CONFLICTS = 5
"""Conflicts in a row after which the last one is raised."""
_FINALIZER = 'a name like "example.com/cleanup"'


async def ensure_finalizer(
    api: Connection,
    resource: Resource | str | Informer[Any],
    obj: str | AnyIdentity,
    name: str,
    *,
    type: type[T] = DICT,  # type: ignore[assignment]
) -> T:
    """Adds a finalizer to an object that does not have it.

    As long as an object has a finalizer, a deletion only sets its `metadata.deletionTimestamp`. So the controller can
    clean up first. Sends no request if the object that was passed, or that the store has, has the finalizer. Otherwise
    sends one patch; before it a `get` if neither object is known, if the object that was passed has no finalizers, or
    if pruning or a transform may have removed some from that of the store. Finalizers of others are kept: if the object
    has changed, the server refuses the patch, and the function tries again from the newest state, up to 5 times.

    Args:
        api: The connection.
        resource: The resource, such as `"v1/configmaps"`, or an informer of it, whose store is read for a key.
        obj: The key of the object, or the object: a dict, a Struct, or bytes with JSON. It has all of its finalizers,
            or none.
        name: The finalizer: `"example.com/cleanup"`.
        type: The type of the result: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.

    Returns:
        The object with the finalizer. While a `Controller` runs, the stores of its informers show it at once. Without
        one, pass it to `informer.expect`, or its store shows it when its event arrives.

    Raises:
        NotFoundError: There is no such object.
        ConflictError: The object has changed 5 times meanwhile, or it was deleted and created again.
        InvalidError, ForbiddenError: The object is being deleted: the server accepts no new finalizer.
        StatusError: The server refuses a request.
        TransportError: There was no response.
        DecodeError: The result does not fit the type.
        OptionError: An argument is not valid.
    """
    found = await _change(api, resource, obj, name, type, present=True)
    assert found is not None
    return found


async def remove_finalizer(
    api: Connection,
    resource: Resource | str | Informer[Any],
    obj: str | AnyIdentity,
    name: str,
    *,
    type: type[T] = DICT,  # type: ignore[assignment]
) -> T | None:
    """Removes a finalizer from an object that has it.

    Without finalizers, an object that is being deleted ceases to exist. Works and raises as `ensure_finalizer` does,
    but an object that does not exist is no error.

    Args:
        api: As for `ensure_finalizer`.
        resource: As for `ensure_finalizer`.
        obj: As for `ensure_finalizer`.
        name: As for `ensure_finalizer`.
        type: As for `ensure_finalizer`.

    Returns:
        The object without the finalizer, also if it has ceased to exist by that. None: it did not exist, or another
        object has its name.
    """
    return await _change(api, resource, obj, name, type, present=False)


async def _change(
    api: Connection,
    resource: Resource | str | Informer[Any],
    obj: str | AnyIdentity,
    name: str,
    type: type[T],
    *,
    present: bool,
) -> T | None:
    require_instance("api", api, Connection, "a kinform.Connection")
    require_match("name", name, QUALIFIED_NAME, _FINALIZER)
    check_type(type, None)
    store, whole = None, False
    if isinstance(resource, Informer):
        whole = resource._collection.spec.keeps_whole(("metadata", "finalizers"))
        store, resource = resource.store, resource.resource
    known: tuple[Identity, bytes] | None = None
    if not isinstance(obj, str):
        known = read_identity("obj", obj)
        whole = bool(known[0].metadata.finalizers)
    elif store is not None and (raw := store.raw(obj)) is not None:
        known = read_identity("obj", raw)
    key = obj if isinstance(obj, str) else known[0].key if known is not None else ""
    uid = None if known is None else known[0].metadata.uid
    if known is not None:
        trusted = whole or _has_already(known[0], name, present)
        if not (trusted and known[0].metadata.resourceVersion):
            known = None  # it may not be of the server, or lack finalizers of others, which a patch would remove
    conflict: ConflictError | None = None
    try:
        for _ in range(CONFLICTS):
            identity, raw = known or read_identity("obj", bytes(await api.get(resource, key, type=msgspec.Raw)))
            if uid is not None and identity.metadata.uid != uid:  # created again since
                conflict = conflict or _recreated(resource, key)
                break
            finalizers = identity.metadata.finalizers or []
            if (name in finalizers) == present:
                return decode_object(make_decoder(type), key, raw)
            wanted = [*finalizers, name] if present else [each for each in finalizers if each != name]
            metadata = {"resourceVersion": identity.metadata.resourceVersion, "finalizers": wanted or None}
            try:
                return await api.patch(resource, key, {"metadata": metadata}, type=type)
            except ConflictError as error:
                conflict, known, uid = error, None, identity.metadata.uid
        else:
            present = True  # too many conflicts are an error in both functions
    except NotFoundError:
        if present:
            raise
        return None
    if present and conflict is not None:
        raise conflict
    return None


def _has_already(identity: Identity, name: str, present: bool) -> bool:
    """Returns whether nothing is to be added, whatever other finalizers there are."""
    return present and name in (identity.metadata.finalizers or ())


def _recreated(resource: Resource | str, key: str) -> ConflictError:
    return ConflictError(f"{resource} {printable(key)}", 409, "Conflict", message="the uid is another one", verb="get")
