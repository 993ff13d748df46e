"""A real control plane for the tests: a kube-apiserver and an etcd on loopback.

`build` builds the two programs once, `process` runs one of them, `plane` runs both, and `pool` keeps those
of a test run. None of them imports kinform.
"""
