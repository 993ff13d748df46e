"""`kinform audit`: what namespaces, leases and watchers cost in a cluster.

`survey` reads the cluster once and fills the report. `sections` arranges it for `_report`, which shows it.
"""
