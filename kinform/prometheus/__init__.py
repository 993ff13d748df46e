"""Metrics of informers for Prometheus, by `prometheus_client`.

Install `kinform[metrics]` to use it.

    kinform.prometheus.register(informer)

adds them to the metrics of `prometheus_client`. `Collector` is for a registry of your own. `LeaseRenewalAge` measures
the leases of an informer.
"""

from kinform.prometheus._collector import Collector
from kinform.prometheus._lease_age import LeaseRenewalAge
from kinform.prometheus._registration import register
from kinform.prometheus._sources import Source

__all__ = ["Collector", "LeaseRenewalAge", "Source", "register"]
