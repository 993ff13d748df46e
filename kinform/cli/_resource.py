"""Finds resources as kubectl does: by discovery.

`pods`, `po` and `pod` are resources of the core group, or of the first group that has one. `deployments.apps` names
the group, `deployments.v1.apps` and `apps/v1/deployments` name also the version.

Source: "API Discovery", unaggregated (kubernetes.io); kubectl's `ResourceBuilder`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec

from kinform import (
    Connection,
    ForbiddenError,
    KinformError,
    NotFoundError,
    OptionError,
    ProtocolError,
    Request,
    Resource,
    StalledError,
    StatusError,
    UnauthorizedError,
)

Decoded = TypeVar("Decoded")

MAX_BODY_BYTES = 4 << 20
TIMEOUT_SECONDS = 30.0
ERRORS = {401: UnauthorizedError, 403: ForbiddenError, 404: NotFoundError}

_NAME = re.compile(r"[a-zA-Z0-9-]+(\.[a-z0-9-]+)*")
_VERSION = re.compile(r"v[0-9]+((alpha|beta)[0-9]+)?")


class Found(msgspec.Struct, frozen=True):
    """A resource of the server.

    Attributes:
        resource: The resource.
        namespaced: True if its objects are in namespaces.
    """

    resource: Resource
    namespaced: bool


class _ApiResource(msgspec.Struct, rename="camel"):
    name: str
    namespaced: bool
    kind: str = ""
    singular_name: str = ""
    short_names: list[str] | None = None
    verbs: list[str] | None = None

    def is_named(self, name: str) -> bool:
        names = (self.name, self.singular_name or self.kind.lower(), *(self.short_names or ()))
        return "/" not in self.name and name.lower() in names  # a name with a slash is a subresource


class _ApiResources(msgspec.Struct):
    resources: list[_ApiResource]


class _GroupVersion(msgspec.Struct):
    version: str


class _Group(msgspec.Struct, rename="camel"):
    name: str
    preferred_version: _GroupVersion
    versions: list[_GroupVersion] = []


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Status(msgspec.Struct):
    reason: str | None = ""
    message: str | None = ""


async def find_resource(api: Connection, name: str) -> Found | None:
    """Returns the resource of a name, or None if the server has none.

    Raises:
        OptionError: The name has none of these forms.
        StatusError: The server refuses the discovery, or fails.
        TransportError: The connection failed.
        ProtocolError: An answer is not one of a Kubernetes API server.
    """
    if "/" in name:
        wanted = Resource.of(name)
        return await _find_in(api, wanted.group, wanted.version, wanted.plural)
    if not _NAME.fullmatch(name):
        raise OptionError("resource", name, "a name, such as pods or deployments.apps")
    plural, _, rest = name.partition(".")
    async for group, version in _versions(api, rest):
        if found := await _find_in(api, group, version, plural):
            return found
    return None


async def followable_resources(api: Connection) -> AsyncIterator[Found | tuple[str, KinformError]]:
    """Yields each resource that can be listed and watched.

    Each has the preferred version of its group if that has it, otherwise the first other one. For a group whose server
    is down, and for a resource that kinform cannot follow, yields its name and the error.

    Raises:
        StatusError: The server refuses the discovery of groups, or fails.
        TransportError: The connection failed.
        ProtocolError: The list of groups is not one of a Kubernetes API server.
    """
    seen = set[tuple[str, str]]()
    async for group, version in _versions(api, ""):
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            listed = await _get(api, path, _ApiResources)
        except (StatusError, ProtocolError) as error:
            yield f"{group}/{version}" if group else version, error
            continue
        for each in listed.resources if listed else ():
            if "/" in each.name or (group, each.name) in seen or not {"list", "watch"}.issubset(each.verbs or ()):
                continue
            seen.add((group, each.name))
            try:
                resource = Resource(group=group, version=version, plural=each.name)
            except OptionError as error:  # a CRD may have a version like "stable"
                yield f"{group}/{version}/{each.name}", error
            else:
                yield Found(resource, each.namespaced)


async def _versions(api: Connection, rest: str) -> AsyncIterator[tuple[str, str]]:
    """Yields the groups and versions that may have the resource.

    As with kubectl, the preferred versions of all groups come before the others.
    """
    version, _, group = rest.partition(".")
    if not rest:
        yield "", "v1"
        groups = await _get(api, "/apis", _Groups)
        found = groups.groups if groups else []
        for each in found:
            yield each.name, each.preferred_version.version
        for each in found:
            for other in each.versions:
                if other != each.preferred_version:
                    yield each.name, other.version
        return
    if _VERSION.fullmatch(version):
        yield group, version
    if named := await _get(api, f"/apis/{rest}", _Group):
        yield named.name, named.preferred_version.version


async def _find_in(api: Connection, group: str, version: str, name: str) -> Found | None:
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        listed = await _get(api, path, _ApiResources)
    except StatusError as error:
        if error.status < 500 or not group:
            raise
        return None  # the server of an aggregated group is down; another group may have the resource
    for each in listed.resources if listed else ():
        if each.is_named(name):
            return Found(Resource(group=group, version=version, plural=each.name), each.namespaced)
    return None


async def _get(api: Connection, path: str, type: type[Decoded]) -> Decoded | None:
    """Returns a decoded answer, or None for 404."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            response = await api.open(Request(path=path, params=()))
            body = await response.head(MAX_BODY_BYTES)
    except TimeoutError:
        raise StalledError(f"get {path}: no complete response within {TIMEOUT_SECONDS:g} s") from None
    if response.status == 404:
        return None
    if response.status != 200:
        try:
            status = msgspec.json.decode(body, type=_Status)
        except (msgspec.DecodeError, UnicodeDecodeError):
            status = _Status()
        error = ERRORS.get(response.status, StatusError)
        raise error(path, response.status, status.reason or "", message=status.message or "", verb="get")
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProtocolError(f"get {path}: the answer is not that of a Kubernetes API server") from None
