"""A real control plane for the tests: a kube-apiserver and an etcd, built once and started on loopback.

`build` knows where the two programs come from, `plane` runs them. Neither imports kinform.
"""
