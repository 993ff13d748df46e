"""Informers of Python: programs that follow one collection with one library each, as users of that library would.

They run in an environment of their own, with what `requirements.txt` names: none of it is kinform's.
"""
