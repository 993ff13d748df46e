"""The command line: one file a command, and what they share.

Nothing here is imported by `import kinform`; click and rich come with the extra `cli`. Commands import what
they need when they run, so that `kinform --help` need not wait for it.
"""
