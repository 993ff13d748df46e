"""The command line: one file per command, and the modules that commands share.

`import kinform` imports nothing from here. The extra `cli` installs click and rich. A command imports its modules when
it runs, so that `kinform --help` starts fast.
"""
