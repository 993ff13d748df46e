"""Objects of the API server: identity and pruned JSON."""

from __future__ import annotations

import msgspec

from kinform._decoding import DICT, T, decode_object, make_decoder


class Meta(msgspec.Struct, frozen=True, gc=False):
    """Identity and version of an object, available without decoding it.

    Attributes:
        namespace: Its namespace; `""` for a cluster-scoped object.
        name: Its name.
        uid: Its uid; `""` if the server sends none, as some aggregated APIs do.
        resource_version: Its resourceVersion; `""` if the server sends none.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str

    @property
    def key(self) -> str:
        """`"namespace/name"`, or `"name"` for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Object(Meta, frozen=True, gc=False):
    """An object as the server sent it, pruned and not yet decoded.

    Attributes:
        namespace: Its namespace; `""` for a cluster-scoped object.
        name: Its name.
        uid: Its uid; `""` if the server sends none, as some aggregated APIs do.
        resource_version: Its resourceVersion; `""` if the server sends none.
        raw: Its pruned JSON: `apiVersion` and `kind` first, then the other members as sent.
    """

    raw: bytes

    def decode(self, type: type[T] = DICT) -> T:  # type: ignore[assignment]
        """Decodes the object. Each call returns a new object.

        Args:
            type: `dict`, any type that msgspec decodes to, or a model of a Kubernetes client, like `V1Pod`.

        Raises:
            DecodeError: The object does not fit the type.
        """
        return decode_object(make_decoder(type), self.key, self.raw)

    def __repr__(self) -> str:
        return f"Object({self.key!r}, {len(self.raw)} bytes)"  # never the contents: it may be a Secret
