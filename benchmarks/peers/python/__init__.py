"""Programs in Python that follow a collection with one library each.

They are written as users of the library would. They run in their own environment, with the packages of
`requirements.txt`. None of it belongs to kinform.
"""
