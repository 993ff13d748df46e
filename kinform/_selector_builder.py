"""Selectors made from Python values.

Source: "Labels and Selectors" and "Field Selectors" in the Kubernetes concepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import TypeAlias

from kinform._checks import require_instance
from kinform._errors import OptionError
from kinform._selectors import LABEL_KEY, LABEL_VALUE, check_field_selector

LabelValues: TypeAlias = str | list[str] | tuple[str, ...] | Set[str] | None

_VALUES = (
    'a label value like "web" (at most 63 letters, digits, "-", "_" and "."), a list of label values, or None for a '
    "label that must be absent"
)


class Selector:
    """Makes selectors from Python values.

    The results are strings, as the API server reads them. They can be used wherever kinform takes a selector.
    """

    @staticmethod
    def labels(labels: Mapping[str, LabelValues] = {}, /, **more: LabelValues) -> str:
        """Makes a label selector. An object must meet every requirement.

        A string is the value that the label must have. A list, a tuple or a set has the values of which it must have
        one. None: the object must not have the label. For other requirements, such as `key notin (a,b)`, write the
        selector as a string.

        Args:
            labels: Requirements by the keys of labels, such as `{"app.kubernetes.io/name": "web"}`.
            more: Requirements by keys that are Python names.

        Returns:
            The selector; without requirements, `""`, which matches every object.

        Raises:
            OptionError: A key or a value is not valid, a list is empty, or a key comes twice.
        """
        return ",".join(_label(key, value) for key, value in _merged("Selector.labels", labels, more).items())

    @staticmethod
    def fields(fields: Mapping[str, str] = {}, /, **more: str) -> str:
        r"""Makes a field selector. An object must meet every requirement.

        Args:
            fields: Values by the paths of fields, such as `{"spec.nodeName": "node-7"}`. kinform escapes the
                characters `\`, `,` and `=` in them. `""` selects objects without a value.
            more: Values by paths that are Python names.

        Returns:
            The selector; without requirements, `""`, which matches every object.

        Raises:
            OptionError: A path or a value is not valid, or a path comes twice. Only the server knows which fields can
                be selected.
        """
        return ",".join(_field(path, value) for path, value in _merged("Selector.fields", fields, more).items())


def escape_field(value: str) -> str:
    """Escapes a value for a field selector."""
    return re.sub(r"([\\,=])", r"\\\1", value)


def _merged(option: str, first: Mapping[str, object], more: Mapping[str, object]) -> dict[str, object]:
    require_instance(option, first, Mapping, 'a dict like {"app.kubernetes.io/name": "web"}')
    for key in first.keys() & more.keys():
        raise OptionError(option, key, "each key once")
    return {**first, **more}


def _label(key: object, value: object) -> str:
    if not isinstance(key, str) or not re.fullmatch(LABEL_KEY, key):
        raise OptionError("Selector.labels", key, 'keys of labels like "app" or "app.kubernetes.io/name"')
    if value is None:
        return f"!{key}"
    values = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple | Set) else []
    if not values or not all(isinstance(each, str) and re.fullmatch(LABEL_VALUE, each) for each in values):
        raise OptionError(f"Selector.labels[{key!r}]", value, _VALUES)
    # Equal sets make equal selectors, which share a stream.
    return f"{key}={value}" if isinstance(value, str) else f"{key} in ({','.join(sorted(set(values)))})"


def _field(path: str, value: object) -> str:
    option = f"Selector.fields[{path!r}]"
    require_instance("Selector.fields", path, str, 'paths of fields like "spec.nodeName"')
    if not isinstance(value, str):
        raise OptionError(option, value, 'a string, or "" for no value')
    if value != value.strip():
        raise OptionError(option, value, "a string without white space at its ends")
    text = f"{path}={escape_field(value)}"
    try:
        check_field_selector(text, field=option)
    except OptionError as error:
        raise OptionError(option, value, error.allowed) from None
    return text
