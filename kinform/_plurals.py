"""Guesses the plural of a resource from a kind or a singular, for hints in errors.

Source: the pluralization of kubebuilder and of client-go's `UnsafeGuessKindToResource`.
"""

from __future__ import annotations

import re


def plural_of(word: str) -> str:
    """Returns the likely plural in lower case. A plural stays as it is."""
    word = word.lower()
    if re.search(r"[^aeiou]y$", word):
        return f"{word[:-1]}ies"
    if re.search(r"(ss|x|z|ch|sh)$", word):
        return f"{word}es"
    return word if word.endswith("s") else f"{word}s"
