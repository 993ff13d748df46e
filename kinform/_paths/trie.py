"""Subset construction: merges many paths into one deterministic trie.

In the trie one step leads to one node, so that the extension follows a single branch while it walks over an object.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, TypeAlias, TypeVar

from kinform._errors import OptionError

State = TypeVar("State", bound=Hashable)

Children: TypeAlias = tuple[tuple[bytes, int], ...]
"""Where the steps by name lead: the index of a node, or a negative number for an end."""

MAX_NODES: Final = 10_000


def build_trie(
    field: str,
    value: object,
    start: State,
    names: Callable[[State], Iterable[str]],
    follow: Callable[[State, str | None], State | int],
) -> Iterator[tuple[State, Children, int]]:
    """Yields the nodes of a trie: state, children, and target of all other steps.

    The first node is the root.

    Args:
        field: Name of the option, for the error message.
        value: Value of the option, for the error message.
        start: State of the root. A state is what remains of each path at a place in an object.
        names: Returns the names that the paths of a state continue with.
        follow: Returns the state after a step, or a negative number for an end. None is a step that no path names.

    Raises:
        OptionError: The trie would have more than `MAX_NODES` nodes.
    """
    numbers = {start: 0}
    states = [start]
    for state in states:  # grows while it is iterated over
        if len(states) > MAX_NODES:
            raise OptionError(field, value, f"paths that overlap less: theirs make more than {MAX_NODES} nodes")

        def number(step: str | None, state: State = state) -> int:
            target = follow(state, step)
            if isinstance(target, int):
                return target
            if target not in numbers:
                numbers[target] = len(states)
                states.append(target)
            return numbers[target]

        yield state, tuple((name.encode(), number(name)) for name in sorted(names(state))), number(None)
