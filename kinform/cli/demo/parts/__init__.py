"""The parts of the demo in child processes: the server and the contestants.

Each process runs `host.py` as a script. The host loads its part from another file of this folder by path.
"""
