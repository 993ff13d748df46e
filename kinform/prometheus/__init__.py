"""Metrics of informers for Prometheus, by `prometheus_client`.

Install `kinform[metrics]` to use it.

    kinform.prometheus.register(informer)

adds them to the metrics of `prometheus_client`. `Collector` is for a registry of your own. `LeaseRenewalAge` measures
the leases of an informer.
"""

try:
    import prometheus_client  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "prometheus_client":
        raise
    raise ModuleNotFoundError(
        "kinform.prometheus needs prometheus_client, of the extra kinform[metrics]:"
        " python -m pip install prometheus_client",
        name=error.name,
    ) from None

from kinform.prometheus._collector import Collector
from kinform.prometheus._lease_age import LeaseRenewalAge
from kinform.prometheus._registration import register
from kinform.prometheus._sources import Source

__all__ = ["Collector", "LeaseRenewalAge", "Source", "register"]
