"""Reads what a collector exposes, as Prometheus would."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(collector: Collector) -> Samples:
    """Returns all samples by name and labels. Each may occur only once."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registered_samples(registry)


def registered_samples(registry: CollectorRegistry) -> Samples:
    """Returns all samples of a registry by name and labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Samples, name: str, informer: str = "v1/pods", **labels: Any) -> float | None:
    """Returns the value of a sample of an informer; None without a sample."""
    resource = informer.split()[0]
    return found.get((name, frozenset({"resource": resource, "informer": informer, **labels}.items())))
