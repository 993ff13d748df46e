"""The verbs of the Kubernetes API, from `list` to `delete`.

JSON by msgspec: no model of any client is loaded. Knows no store and no watch.
Source: "Kubernetes API verbs" of the Kubernetes API concepts, KEP-555 (server-side apply).
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal, get_args

import msgspec

from kinform._checks import require_instance, require_integer, require_match, require_one_of, require_positive
from kinform._connection.bodies import Propagation, delete_options, encode_operations
from kinform._connection.exchange import Call, exchange, whole_body
from kinform._connection.listing import list_objects
from kinform._connection.target import Target
from kinform._decoding import DICT, Decoder, T, check_type, decode_object, make_decoder
from kinform._encoding import OBJECT, Envelope, ObjectNames, encode, encode_object
from kinform._errors import OptionError
from kinform._options import Prune, Resource, Scope, WatchOptions
from kinform._spec import CollectionSpec
from kinform._transport.base import Request, Transport

DEFAULT_TIMEOUT = 30.0

How = Literal["merge", "strategic", "json"]

_PATCHES: dict[How, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
_DRY_RUN = ("dryRun", "All")
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_FIELD_MANAGER = re.compile(r"[ -~]{1,128}")
_FIELD_MANAGER_TEXT = 'a name like "widget-operator", of 1 to 128 printable characters'


WriteListener = Callable[[Resource, bytes], None]
"""Takes the resource and the server's answer to a write that the server has carried out. It never raises."""

# A deletion has no answer that stays true, and a dry run has changed nothing.
_STORING = ("create", "apply", "patch", "replace")


class Verbs(Transport):
    """The verbs, over the methods of a `Transport`.

    Attributes:
        write_listeners: The parts of kinform that take the answers to writes.
    """

    write_listeners: list[WriteListener]

    def list(
        self,
        resource: Resource | str,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        scope: Scope | None = None,
        prune: Prune | None = None,
        page_size: int = 500,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> AsyncGenerator[T, None]:
        """Yields the objects of a collection, which it requests in pages.

        Neither a page nor a response is in memory as a whole, only a chunk of at most 256 KiB and one object.

        The objects of one namespace are those of one moment, even if the list has many pages, and each comes once.
        There are two exceptions. If the server no longer has that moment (410, about five minutes after the first
        page), the rest of the list is in its newest state. If the connection breaks in the first page, the rest of that
        page is. Several namespaces come one after the other, each with its own moment.

        While your program handles an object, kinform reads no further. So a loop may take hours: kinform requests the
        rest of a page again if the server has closed the connection meanwhile. A refusal is raised at once, when the
        iteration reaches it. Leaving the loop by `break` closes the connection; wrap the generator in
        `contextlib.aclosing` if it must be closed before the next statement.

        Args:
            resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
            type: The type of the objects: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            scope: The objects to request. Default: all.
            prune: The fields of each object to keep. Default: all but `metadata.managedFields`.
            page_size: Objects per request. 0: one request.
            timeout: Seconds to wait for the response to a request, and for further data of it.

        Raises:
            OptionError: An argument is not valid, or pruning drops a field that the type requires. Raised by the call.
            StatusError: The server refuses the request.
            TransportError: The connection failed, twice without a further object.
            SkippedError: An object is malformed, or has more than 16 MiB.
            DecodeError: An object does not fit the type.
            ProtocolError: The response is not a LIST, or its pages have no end.
        """
        spec = list_spec(resource, type, scope, prune, page_size, timeout)
        return _decoded(list_objects(self, spec, timeout=timeout), make_decoder(type))

    async def get(
        self,
        resource: Resource | str,
        key: str,
        *,
        type: type[T] = DICT,  # type: ignore[assignment]
        subresource: str = "",
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T:
        """Returns one object in its newest state.

        Args:
            resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
            key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
            type: The type of the object: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            subresource: A subresource, such as `"scale"`.
            timeout: Seconds until the whole response has arrived.

        Raises:
            NotFoundError: There is no such object, as with `kubectl get`.
            StatusError: The server refuses the request.
            TransportError: There was no response.
            ProtocolError: The response has more than 16 MiB.
            DecodeError: The object does not fit the type.
            OptionError: An argument is not valid.
        """
        target = Target.of_key(resource, key, subresource)
        return await self._answer("get", target, Request(path=target.path, params=()), type, timeout)

    async def create(
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

        Creates no subresources, such as the eviction of a pod: see `open`.

        Args:
            resource: `"v1/configmaps"`, `"apps/v1/deployments"`, or a `Resource`.
            obj: The object: a dict, or a Struct, which is encoded as it is declared. It has `metadata.name` or
                `metadata.generateName`. A custom resource needs a `kind`.
            type: The type of the result: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            field_manager: The manager of its fields, for `managedFields`. None: the server takes `"kinform"`.
            dry_run: True: the server checks the object, but does not store it.
            timeout: Seconds until the whole response has arrived.

        Returns:
            The object as the server has stored it, with its uid and resourceVersion.

        Raises:
            AlreadyExistsError: An object with this name exists.
            InvalidError: A field is not valid.
            StatusError: The server refuses the request.
            TransportError: There was no response. If its `reached` is True, the object may have been created.
            ProtocolError: The response has more than 16 MiB. The object has been created.
            DecodeError: The result does not fit the type. The object has been created.
            OptionError: An argument is not valid.
        """
        resource = Resource.of(resource)
        envelope, body = encode_object(obj, resource)
        metadata = envelope.metadata or ObjectNames()
        target = Target.of_names(resource, metadata.namespace, None)
        key = metadata.name or ""
        about = Target.of_names(resource, metadata.namespace, key) if key else target
        params = _write_params(field_manager, dry_run)
        request = Request(path=target.path, params=params, method="POST", body=body)
        return await self._answer("create", about, request, type, timeout)

    async def apply(
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

        The object has only the fields that the caller wants to manage. Fields that it applied before, and no longer
        has, are removed, unless another manager has them, too. An apply without a change does not write.

        Args:
            resource: `"v1/configmaps"`, `"apps/v1/deployments"`, or a `Resource`.
            obj: The object: a dict, or a Struct, which is encoded as it is declared. It needs a `kind`, and
                `metadata.name`, and must not have `metadata.managedFields`. With `metadata.resourceVersion`, only this
                version is changed.
            field_manager: The name of the caller, the same for each apply: `"widget-operator"`.
            force: True: takes over fields that other managers have set to another value. False: they are a conflict.
            type: The type of the result: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            subresource: A subresource, such as `"status"`.
            dry_run: True: the server checks the object, but does not store it.
            timeout: Seconds until the whole response has arrived.

        Returns:
            The whole object as the server has stored it.

        Raises:
            ConflictError: Other managers have set some fields; `causes` names them. Or it has another resourceVersion.
            InvalidError: A field is not valid.
            StatusError: The server refuses the request.
            TransportError: There was no response. If its `reached` is True, the object may have been applied.
            ProtocolError: The response has more than 16 MiB. The object has been applied.
            DecodeError: The result does not fit the type. The object has been applied.
            OptionError: An argument is not valid.
        """
        require_instance("force", force, bool, "True or False")
        require_match("field_manager", field_manager, _FIELD_MANAGER, _FIELD_MANAGER_TEXT)
        resource = Resource.of(resource)
        envelope, body = encode_object(obj, _expected(resource, subresource))
        if not envelope.kind:
            raise OptionError("obj.kind", envelope.kind, 'the kind, like "ConfigMap", which an apply needs')
        params = _write_params(field_manager, dry_run)
        if force:
            params += (("force", "true"),)
        target = _target_of(resource, envelope, subresource)
        request = Request(path=target.path, params=params, method="PATCH", body=body, content_type=_APPLY)
        return await self._answer("apply", target, request, type, timeout)

    async def patch(
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

        A patch applies to any version of the object, unless it says which: by `metadata.resourceVersion` in a merge or
        strategic patch, by an operation `test` in a JSON Patch.

        Args:
            resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
            key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
            patch: A dict or a Struct with the members to change, and None for those to remove. For `how="json"`: a list
                of operations.
            how: `"merge"`: JSON Merge Patch (RFC 7386), which replaces lists as a whole. `"strategic"`: merges lists
                by the keys of their elements; only for built-in resources. `"json"`: JSON Patch (RFC 6902).
            type: The type of the result: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            subresource: A subresource, such as `"status"`.
            field_manager: The manager of the changed fields, for `managedFields`. None: the server takes `"kinform"`.
            dry_run: True: the server checks the patch, but stores nothing.
            timeout: Seconds until the whole response has arrived.

        Returns:
            The whole object as the server has stored it.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It has another resourceVersion than the patch.
            InvalidError: A field is not valid, or a JSON Patch does not apply.
            BadRequestError: The patch has another form, or the resource does not support it (415).
            StatusError: The server refuses the request.
            TransportError: There was no response. If its `reached` is True, the patch may have taken effect.
            ProtocolError: The response has more than 16 MiB. The patch has taken effect.
            DecodeError: The result does not fit the type. The patch has taken effect.
            OptionError: An argument is not valid.
        """
        require_one_of("how", how, get_args(How))
        target = Target.of_key(resource, key, subresource)
        if how == "json":
            body = encode_operations(patch)
        else:
            body = encode("patch", patch, f'{OBJECT}, or a list with how="json"')
        params = _write_params(field_manager, dry_run)
        kind = _PATCHES[how]
        request = Request(path=target.path, params=params, method="PATCH", body=body, content_type=kind)
        return await self._answer("patch", target, request, type, timeout)

    async def replace(
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

        Fields that the new object does not have are removed. With `metadata.resourceVersion`, it replaces only this
        version, so that no change of another client is lost. Without it, it replaces any version; custom resources and
        some others need it. Do not replace an object by a Struct that declares only a part of its fields: use `patch`
        or `apply`.

        Args:
            resource: `"v1/configmaps"`, `"apps/v1/deployments"`, or a `Resource`.
            obj: The object: a dict, or a Struct, which is encoded as it is declared. It has `metadata.name`.
            type: The type of the result: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client.
            subresource: A subresource, such as `"status"`: only this part is replaced.
            field_manager: The manager of the changed fields, for `managedFields`. None: the server takes `"kinform"`.
            dry_run: True: the server checks the object, but does not store it.
            timeout: Seconds until the whole response has arrived.

        Returns:
            The object as the server has stored it.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It has another resourceVersion or uid.
            InvalidError: A field is not valid.
            StatusError: The server refuses the request.
            TransportError: There was no response. If its `reached` is True, the object may have been replaced.
            ProtocolError: The response has more than 16 MiB. The object has been replaced.
            DecodeError: The result does not fit the type. The object has been replaced.
            OptionError: An argument is not valid.
        """
        resource = Resource.of(resource)
        envelope, body = encode_object(obj, _expected(resource, subresource))
        target = _target_of(resource, envelope, subresource)
        params = _write_params(field_manager, dry_run)
        request = Request(path=target.path, params=params, method="PUT", body=body)
        return await self._answer("replace", target, request, type, timeout)

    async def delete(
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

        It may exist for some more time: until its finalizers are removed, its grace period has passed, or its
        dependents are deleted. Its `metadata.deletionTimestamp` is set meanwhile.

        Args:
            resource: `"v1/pods"`, `"apps/v1/deployments"`, or a `Resource`.
            key: `"namespace/name"`, or `"name"` for a cluster-scoped object.
            uid: Deletes it only if it has this uid, and is no later object of the same name.
            resource_version: Deletes it only in this version.
            propagation: `"Background"`: its dependents are deleted after it. `"Foreground"`: before it. `"Orphan"`:
                not at all. None: the default of the resource.
            grace_period: Seconds for the object to end by itself; 0: at once. None: the default of the resource.
            dry_run: True: the server checks the request, but does not delete the object.
            timeout: Seconds until the whole response has arrived.

        Returns:
            The last state of the object, or a `Status` with its uid in `details` if it is gone.

        Raises:
            NotFoundError: There is no such object.
            ConflictError: It has another uid or resourceVersion.
            StatusError: The server refuses the request.
            TransportError: There was no response. If its `reached` is True, the object may have been deleted.
            ProtocolError: The response has more than 16 MiB. The server has accepted the request.
            OptionError: An argument is not valid.
        """
        target = Target.of_key(resource, key)
        body = delete_options(uid, resource_version, propagation, grace_period, dry_run)
        request = Request(path=target.path, params=(), method="DELETE", body=body)
        return await self._answer("delete", target, request, DICT, timeout)

    async def _answer(self, verb: str, target: Target, request: Request, type: type[T], timeout: float) -> T:
        require_positive("timeout", timeout)
        check_type(type, None)
        body = await exchange(self, Call(verb, str(target), request, target.scope_hint), whole_body, timeout=timeout)
        if verb in _STORING and target.subresource in ("", "status") and _DRY_RUN not in request.params:
            for listener in self.write_listeners:
                listener(target.resource, body)
        return decode_object(make_decoder(type), target.key or str(target), body)


def list_spec(
    resource: Resource | str,
    type: type[Any],
    scope: Scope | None,
    prune: Prune | None,
    page_size: int,
    timeout: float,
) -> CollectionSpec:
    """Returns the collection that `Verbs.list` requests.

    Raises:
        OptionError: See `Verbs.list`.
    """
    require_integer("page_size", page_size, 0, "0 for one page, or a positive number")
    require_positive("timeout", timeout)
    spec = CollectionSpec.of(resource, scope, prune, None, WatchOptions(page_size=page_size))
    _ = spec.scope.fixed_namespaces  # raises for a selector
    spec.check_readable(type, {})
    return spec


def _expected(resource: Resource, subresource: str) -> Resource | None:
    """Returns the resource that a body must be of; None: any, such as a Scale."""
    return resource if subresource in ("", "status") else None


def _target_of(resource: Resource, envelope: Envelope, subresource: str) -> Target:
    metadata = envelope.metadata or ObjectNames()
    if not metadata.name:
        raise OptionError("obj.metadata.name", metadata.name, "the name of the object")
    return Target.of_names(resource, metadata.namespace, metadata.name, subresource)


def _write_params(field_manager: str | None, dry_run: bool) -> tuple[tuple[str, str], ...]:
    require_instance("dry_run", dry_run, bool, "True or False")
    params: tuple[tuple[str, str], ...] = (_DRY_RUN,) if dry_run else ()
    if field_manager is None:
        return params
    require_match("field_manager", field_manager, _FIELD_MANAGER, _FIELD_MANAGER_TEXT)
    return (*params, ("fieldManager", field_manager))


async def _decoded(objects: AsyncGenerator[tuple[str, bytes], None], decoder: Decoder[T]) -> AsyncGenerator[T, None]:
    async with aclosing(objects):
        async for key, raw in objects:
            yield decode_object(decoder, key, raw)
