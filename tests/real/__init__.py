"""Tests of the protocol and of kinform against a real kube-apiserver only."""
