"""`kinform prune`: the bytes of a collection by path, and a `Prune` that fits.

`survey` reads the collection, and fills the report. `suggestion` finds the paths to drop.
"""
