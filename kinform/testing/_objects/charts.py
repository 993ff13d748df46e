"""The ways in which a cluster's teams write their workloads: labels, annotations, probes, affinity, what all have.

A cluster has some dozen; workloads of one chart have the same structure and other content.
"""

from __future__ import annotations

import json
import random

from kinform.testing._objects import words
from kinform.testing._objects.containers import DOWNWARD, HARDENED, Sidecar, variable
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.random_values import between, chance, pick, sha256, some
from kinform.testing._objects.texts import settings

NOTES = ((0,), (1,), (), (0, 1), (2,), (1, 6), (4,), (), (0, 2), (5,), (0, 6), (7,), (1, 3), ())
"""Which annotations a chart has."""


class Chart:
    """One of them.

    Attributes:
        common: Variables that all its workloads have, with the same values.
        registry: Where its images come from.
        sidecars: Those that its workloads have, as far as they are large enough.
    """

    def __init__(self, rng: random.Random, number: int, sidecars: list[Sidecar]) -> None:
        self.name = f"{pick(rng, words.TEAMS)}-{pick(rng, ('service', 'app', 'base', 'stack', 'operator'))}"
        self.registry = pick(rng, ("registry.example.com", "registry.example.com/mirror", "images.example.net"))
        self.team = pick(rng, words.TEAMS)
        self.version = f"{between(rng, 0, 9)}.{between(rng, 0, 40)}.{between(rng, 0, 9)}"
        self.common = [*some(rng, DOWNWARD, between(rng, 0, 5))]
        self.common += [variable(rng, "platform", "platform-prod") for _ in range(between(rng, 3, 24))]
        self.sidecars = some(rng, sidecars, between(rng, 1, 5))
        self.security: Object = pick(
            rng,
            (
                {},
                {"fsGroup": 2000},
                {"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 1000},
                {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            ),
        )
        self.hardened = (*HARDENED, {}, {}, {})[number % 7]
        self.pull_secrets: list[Object] = [{"name": f"{self.team}-pull"}] if chance(rng, 0.5) else []
        self.priority = pick(rng, ("", "", "business-critical", "batch-low"))
        self.path = pick(rng, ("/healthz", "/health", "/actuator/health/liveness", "/livez", "/-/healthy", "/ping"))
        self.grace = pick(rng, (30, 30, 30, 10, 60, 120))
        self.reload = chance(rng, 0.5)
        # What weighs most goes by turns: no cluster has all of it by chance.
        self._labels, self._annotations = number % 4, NOTES[number % len(NOTES)]
        self._affinity, self._spread = number % 5, number % 6 == 2
        self._tolerations = pick(rng, ("", "", "", "spot", "dedicated"))

    def labels(self, rng: random.Random, name: str, product: str, place: str) -> dict[str, str]:
        """Of a workload's pods, not yet those that its controller adds."""
        role = name.rpartition("-")[2]
        found = {
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
        }[self._labels]
        if chance(rng, 0.3):
            found["example.com/cost-centre"] = f"{between(rng, 1000, 9999)}"
        if self._labels == 2 and chance(rng, 0.5):
            found["stage"] = place.rpartition("-")[2]
        return found

    def annotations(self, rng: random.Random, product: str, size: float) -> dict[str, str]:
        """Of a workload's pods; large ones if the size, 0 to 1, is."""
        found: dict[str, str] = {}
        for each in self._annotations:
            match each:
                case 0:
                    found |= {"prometheus.io/scrape": "true", "prometheus.io/port": f"{pick(rng, (8080, 9090, 9102))}"}
                    found["prometheus.io/path"] = pick(rng, ("/metrics", "/metrics", "/actuator/prometheus"))
                case 1:
                    found |= {"checksum/config": sha256(rng), "checksum/secret": sha256(rng)}
                case 2:
                    injected: Object = {"initContainers": ["mesh-init"], "containers": ["mesh-proxy"], "volumes": None}
                    injected |= {"revision": "stable", "template": f"{rng.getrandbits(40):010x}"}
                    found["mesh.example.net/status"] = json.dumps(injected, separators=(",", ":"))
                case 3:
                    found["cluster-autoscaler.kubernetes.io/safe-to-evict"] = pick(rng, ("true", "false"))
                case 4:
                    for number in range(1 + int(size * rng.random() * 3)):
                        secret = f"{product}-{pick(rng, words.NOUNS)}"
                        found[f"secrets.example.net/inject-{number}"] = f"kv/data/{self.team}/{secret}"
                        text = f'{{{{- with secret "kv/data/{self.team}/{secret}" -}}}}\n'
                        for _ in range(between(rng, 1, 3)):
                            text += f"export {pick(rng, words.SUBJECTS)}={{{{ .Data.{pick(rng, words.NOUNS)} }}}}\n"
                        found[f"secrets.example.net/template-{number}"] = text + "{{- end }}"
                case 5:
                    checks = {
                        f"{pick(rng, words.SUBJECTS).lower()}": {
                            "init_config": {},
                            "instances": [
                                {"host": "%%host%%", "port": pick(rng, (6379, 5432, 8080)), "tags": [product]}
                            ],
                        }
                        for _ in range(between(rng, 1, 3))
                    }
                    found[f"ad.example.net/{product}.checks"] = json.dumps(checks, separators=(",", ":"))
                case 6:
                    found["kubectl.kubernetes.io/default-container"] = product
                case 7:
                    if size > 0.8:
                        found["example.com/rendered-settings"] = settings(rng, product, "prod", int(size * 40))
        return dict(sorted(found.items()))

    def affinity(self, labels: dict[str, str]) -> Object:
        """Away from its like, or to some nodes; none in a half of the charts."""
        name = next(iter(labels))
        term = {
            "labelSelector": {"matchExpressions": [{"key": name, "operator": "In", "values": [labels[name]]}]},
            "topologyKey": "kubernetes.io/hostname",
        }
        if self._affinity == 1:
            return {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]
                }
            }
        if self._affinity == 2:
            expression = {"key": "node.example.com/pool", "operator": "In", "values": ["general", "compute"]}
            terms = [{"matchExpressions": [expression]}]
            required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
            return {"nodeAffinity": required}
        return {}

    def tolerations(self) -> list[Object]:
        """Of taints of the nodes' pools."""
        if not self._tolerations:
            return []
        return [{"key": f"example.com/{self._tolerations}", "operator": "Exists", "effect": "NoSchedule"}]

    def spread(self, labels: dict[str, str]) -> list[Object]:
        """Over zones, in some charts."""
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
