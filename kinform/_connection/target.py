"""The target of a request: an object, a collection, or a subresource of an object."""

from __future__ import annotations

import re

import msgspec

from kinform._checks import require_match, require_scope
from kinform._errors import OptionError
from kinform._options import Resource
from kinform._plurals import is_built_in, is_cluster_scoped

_NO_NAMESPACE = "an object in a namespace needs it in its metadata, or in its key"
_NAMESPACE = "an object of a cluster-scoped resource has no namespace in its metadata, nor in its key"

KEY = '"namespace/name", or "name" for a cluster-scoped object'

_SUBRESOURCE = re.compile(r"[a-z]+")


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An object, or a collection if the name is empty.

    Attributes:
        resource: The resource.
        namespace: The namespace; `""` for a cluster-scoped object, or for all namespaces.
        name: The name of the object, or `""`.
        subresource: The subresource, such as `"status"`, or `""`.
    """

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @classmethod
    def of_key(cls, resource: Resource | str, key: str, subresource: str = "") -> Target:
        """Returns the target for a key.

        Raises:
            OptionError: An argument is not valid.
        """
        namespace, slash, name = key.rpartition("/") if isinstance(key, str) else ("", "", "")
        if not is_segment(name) or (slash and not is_segment(namespace)):
            raise OptionError("key", key, KEY)
        _check_subresource(subresource)
        return cls(resource=Resource.of(resource), namespace=namespace, name=name, subresource=subresource)

    @classmethod
    def of_names(cls, resource: Resource, namespace: str | None, name: str | None, subresource: str = "") -> Target:
        """Returns the target for the names in the metadata of an object; None is missing.

        Raises:
            OptionError: A name is not valid.
        """
        for field, value in (("namespace", namespace), ("name", name)):
            if value and not is_segment(value):
                raise OptionError(f"obj.metadata.{field}", value, "a name without slashes, percent signs and spaces")
        _check_subresource(subresource)
        return cls(resource=resource, namespace=namespace or "", name=name or "", subresource=subresource)

    @property
    def key(self) -> str:
        """`"namespace/name"`, or `"name"` for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def path(self) -> str:
        """The path on the API server."""
        return "/".join(part for part in (self.resource.path(self.namespace), self.name, self.subresource) if part)

    @property
    def scope_hint(self) -> str:
        """The likely mistake if the server does not know the path, or `""`."""
        resource, scope = str(self.resource), _NAMESPACE if self.namespace else _NO_NAMESPACE
        if is_built_in(resource) and bool(self.namespace) != is_cluster_scoped(resource):
            scope = ""  # it is the right one
        if not self.subresource:
            return scope
        return f"{self.resource} may have no subresource {self.subresource!r}" + (f"; {scope}" if scope else "")

    def check_scope(self) -> None:
        """Checks the namespace of an object, if the resource is one of Kubernetes.

        Raises:
            OptionError: The namespace is missing, or there can be none.
        """
        resource = str(self.resource)
        if is_built_in(resource):
            require_scope(self.key, namespaced=not is_cluster_scoped(resource))

    def __str__(self) -> str:
        subresource = f"/{self.subresource}" if self.subresource else ""
        if self.name:
            return f"{self.resource}{subresource} {self.key}"
        return f"{self.resource} in {self.namespace}" if self.namespace else str(self.resource)


def _check_subresource(subresource: str) -> None:
    if subresource != "":
        require_match("subresource", subresource, _SUBRESOURCE, 'a name in lower case like "status", or ""')


def is_segment(text: str) -> bool:
    """Returns whether a text can be one segment of a path.

    Source: `IsValidPathSegmentName` of apimachinery.
    """
    return text not in ("", ".", "..") and text.isprintable() and not any(sign in text for sign in "/% ")
