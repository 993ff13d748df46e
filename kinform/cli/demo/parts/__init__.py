"""What the demo runs in processes of their own: the server, and those who copy what it holds.

`host` is the inside of each process, and is run as a script; the others are what it hosts, loaded by path.
"""
