"""A selection of namespaces by their labels, which is followed live."""

from __future__ import annotations

import msgspec

from kinform._checks import require_instance, require_integer
from kinform._errors import OptionError
from kinform._selectors import parse_label_selector


class NamespaceSelector(msgspec.Struct, frozen=True):
    """Selects the namespaces that match a label selector, as they are at each moment.

    Give it to `Scope.namespaces`. kinform follows the metadata of these namespaces. When one begins to match, its
    objects are added; when one no longer matches or is deleted, its objects are removed, and listeners get them as
    deleted. Permissions to `list` and `watch` namespaces are necessary in addition.

    Each namespace has its own stream, up to `max_streams`. If there are more, one stream of all namespaces takes their
    place, and kinform drops the objects of other namespaces as they arrive, before they are stored. This stream needs
    the permission to list and watch the resource in all namespaces. It stays until the informer stops, also if fewer
    namespaces match later. Namespaces that begin to match later have their own streams again, until there are too many
    again.

    Attributes:
        label_selector: Label selector for namespaces, as in `kubectl get namespaces -l`. Not `""`: for all namespaces,
            use `None` as `Scope.namespaces`.
        max_streams: The most streams of single namespaces. Each has an HTTP connection. 0: always one stream of all.

    Raises:
        OptionError: The selector or the number is not valid.
    """

    label_selector: str
    max_streams: int = 50

    def __post_init__(self) -> None:
        field = "NamespaceSelector.label_selector"
        require_instance(field, self.label_selector, str, "a string")
        if not self.label_selector.strip():
            raise OptionError(field, self.label_selector, "a condition; for all namespaces, use Scope(namespaces=None)")
        parse_label_selector(self.label_selector, field=field)
        require_integer("NamespaceSelector.max_streams", self.max_streams, 0, "0 or a positive number of streams")
