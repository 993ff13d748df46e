"""Charts: the structure that the workloads of one team share.

The chart defines labels, annotations, probes and affinity; each workload has its own content in them.
"""

from __future__ import annotations

import json
import random

from kinform.testing._objects import words
from kinform.testing._objects.containers import DOWNWARD_VARIABLES, SECURITY_CONTEXTS, Sidecar, variable
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import between, chance, pick, sample, sha256
from kinform.testing._objects.texts import settings

_ANNOTATION_SETS = ((0,), (1,), (), (0, 1), (2,), (1, 6), (4,), (), (0, 2), (5,), (0, 6), (7,), (1, 3), ())
"""The annotations of each chart, as numbers of the cases in `Chart.annotations`."""


class Chart:
    """A chart.

    Attributes:
        common: Variables of all its workloads, with the same values.
        registry: The registry of its images.
        sidecars: The sidecars of its workloads; a small workload has only the first, or none.
        health_path: The HTTP path of its probes.
        reload: Whether its Deployments have an annotation with the time of their last restart.
    """

    def __init__(self, rng: random.Random, number: int, sidecars: list[Sidecar]) -> None:
        self.name = f"{pick(rng, words.TEAMS)}-{pick(rng, ('service', 'app', 'base', 'stack', 'operator'))}"
        self.registry = pick(rng, ("registry.example.com", "registry.example.com/mirror", "images.example.net"))
        self.team = pick(rng, words.TEAMS)
        self.version = f"{between(rng, 0, 9)}.{between(rng, 0, 40)}.{between(rng, 0, 9)}"
        self.common = [*sample(rng, DOWNWARD_VARIABLES, between(rng, 0, 5))]
        self.common += [variable(rng, "platform", "platform-prod") for _ in range(between(rng, 3, 24))]
        self.sidecars = sample(rng, sidecars, between(rng, 1, 5))
        self.pod_security: Object = pick(
            rng,
            (
                {},
                {"fsGroup": 2000},
                {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 1000},
                {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            ),
        )
        self.container_security = (*SECURITY_CONTEXTS, {}, {}, {})[number % 7]
        self.pull_secrets: list[Object] = [{"name": f"{self.team}-pull"}] if chance(rng, 0.5) else []
        self.priority = pick(rng, ("", "", "business-critical", "batch-low"))
        self.health_path = pick(
            rng, ("/healthz", "/health", "/actuator/health/liveness", "/livez", "/-/healthy", "/ping")
        )
        self.grace_period = pick(rng, (30, 30, 30, 10, 60, 120))
        self.reload = chance(rng, 0.5)
        # The largest parts go by the chart's number, so that no seed has only large pods by chance.
        self._label_style, self._annotation_set = number % 4, _ANNOTATION_SETS[number % len(_ANNOTATION_SETS)]
        self._affinity_style, self._spread = number % 5, number % 6 == 2
        self._tolerations = pick(rng, ("", "", "", "spot", "dedicated"))

    def labels(self, rng: random.Random, name: str, product: str, namespace: str) -> dict[str, str]:
        """Returns the labels of a workload's pods, without those that its controller adds."""
        role = name.rpartition("-")[2]
        labels = {
            0: {"app": name},
            1: {
                "app.kubernetes.io/component": role,
                "app.kubernetes.io/instance": name,
                "app.kubernetes.io/managed-by": "Helm",
                "app.kubernetes.io/name": product,
                "app.kubernetes.io/version": f"{between(rng, 0, 9)}.{between(rng, 0, 30)}.{between(rng, 0, 9)}",
                "helm.sh/chart": f"{self.name}-{self.version}",
            },
            2: {"app": name, "component": role, "team": self.team, "tier": pick(rng, ("backend", "frontend", "data"))},
            3: {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": product, "example.com/owner": self.team},
        }[self._label_style]
        if chance(rng, 0.3):
            labels["example.com/cost-centre"] = f"{between(rng, 1000, 9999)}"
        if self._label_style == 2 and chance(rng, 0.5):
            labels["stage"] = namespace.rpartition("-")[2]
        return labels

    def annotations(self, rng: random.Random, product: str, size: float) -> dict[str, str]:
        """Returns the annotations of a workload's pods; they grow with `size`, 0 to 1."""
        annotations: dict[str, str] = {}
        for kind in self._annotation_set:
            match kind:
                case 0:
                    annotations |= {
                        "prometheus.io/scrape": "true",
                        "prometheus.io/port": f"{pick(rng, (8080, 9090, 9102))}",
                    }
                    annotations["prometheus.io/path"] = pick(rng, ("/metrics", "/metrics", "/actuator/prometheus"))
                case 1:
                    annotations |= {"checksum/config": sha256(rng), "checksum/secret": sha256(rng)}
                case 2:
                    injected: Object = {"initContainers": ["mesh-init"], "containers": ["mesh-proxy"], "volumes": None}
                    injected |= {"revision": "stable", "template": f"{rng.getrandbits(40):010x}"}
                    annotations["mesh.example.net/status"] = json.dumps(injected, separators=(",", ":"))
                case 3:
                    annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = pick(rng, ("true", "false"))
                case 4:
                    for number in range(1 + int(size * rng.random() * 3)):
                        secret = f"{product}-{pick(rng, words.NOUNS)}"
                        annotations[f"secrets.example.net/inject-{number}"] = f"kv/data/{self.team}/{secret}"
                        text = f'{{{{- with secret "kv/data/{self.team}/{secret}" -}}}}\n'
                        for _ in range(between(rng, 1, 3)):
                            text += (
                                f"export {pick(rng, words.SETTING_SUBJECTS)}={{{{ .Data.{pick(rng, words.NOUNS)} }}}}\n"
                            )
                        annotations[f"secrets.example.net/template-{number}"] = text + "{{- end }}"
                case 5:
                    checks = {
                        f"{pick(rng, words.SETTING_SUBJECTS).lower()}": {
                            "init_config": {},
                            "instances": [
                                {"host": "%%host%%", "port": pick(rng, (6379, 5432, 8080)), "tags": [product]}
                            ],
                        }
                        for _ in range(between(rng, 1, 3))
                    }
                    annotations[f"ad.example.net/{product}.checks"] = json.dumps(checks, separators=(",", ":"))
                case 6:
                    annotations["kubectl.kubernetes.io/default-container"] = product
                case 7:
                    if size > 0.8:
                        annotations["example.com/rendered-settings"] = settings(rng, product, "prod", int(size * 40))
        return dict(sorted(annotations.items()))

    def affinity(self, labels: dict[str, str]) -> Object:
        """Returns a pod anti-affinity, a node affinity, or `{}`."""
        name = next(iter(labels))
        term = {
            "labelSelector": {"matchExpressions": [{"key": name, "operator": "In", "values": [labels[name]]}]},
            "topologyKey": "kubernetes.io/hostname",
        }
        if self._affinity_style == 1:
            return {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
                }
            }
        if self._affinity_style == 2:
            expression = {"key": "node.example.com/pool", "operator": "In", "values": ["general", "compute"]}
            terms = [{"matchExpressions": [expression]}]
            required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
            return {"nodeAffinity": required}
        return {}

    def tolerations(self) -> list[Object]:
        """Returns tolerations for the taint of a node pool, or `[]`."""
        if not self._tolerations:
            return []
        return [{"key": f"example.com/{self._tolerations}", "operator": "Exists", "effect": "NoSchedule"}]

    def spread(self, labels: dict[str, str]) -> list[Object]:
        """Returns a spread over zones, or `[]`."""
        if not self._spread:
            return []
        name = next(iter(labels))
        return [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {name: labels[name]}},
            }
        ]
