"""Pods as a busy cluster holds them: replicas of a few workloads, each about 7 KB of JSON.

A workload is made once; a pod is its workload with a name, a node, addresses and times of its own. Shapes
are those of kube-controller-manager and the kubelet; names, images and figures are made up.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

from kinform.testing._encoding import Object
from kinform.testing._managed import fields_of, managed

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_APPS = (
    "web",
    "cart",
    "search",
    "billing",
    "stock",
    "mailer",
    "gateway",
    "ledger",
    "images",
    "session",
    "audit",
    "rates",
)
_TIERS = ("frontend", "backend", "data")
_TEAMS = ("shop", "payments", "platform", "insight")
_ENV = (
    "LOG_LEVEL",
    "HTTP_PORT",
    "CACHE_URL",
    "DATABASE_URL",
    "FEATURE_FLAGS",
    "REGION",
    "QUEUE_URL",
    "TIMEOUT_SECONDS",
)


_NOT_THE_CONTROLLERS = ("nodeName", "tolerations", "priority", "preemptionPolicy")
_NOT_THE_KUBELETS = ("qosClass", "podIPs")


def _without_token(container: Object) -> Object:
    mounts = [mount for mount in container["volumeMounts"] if mount["name"] != "kube-api-access"]
    rest = {name: value for name, value in container.items() if name != "volumeMounts"}
    return {**rest, "volumeMounts": mounts} if mounts else rest


def letters(rng: random.Random, n: int) -> str:
    """A suffix as the API server draws them for generateName."""
    return "".join(rng.choices(_LETTERS, k=n))


def hexadecimal(rng: random.Random, n: int) -> str:
    """N hexadecimal digits."""
    return f"{rng.getrandbits(4 * n):0{n}x}"


def _release(rng: random.Random) -> str:
    return f"{rng.randint(1, 9)}.{rng.randint(0, 40)}.{rng.randint(0, 9)}"


class Workload:
    """What the pods of one Deployment, StatefulSet or DaemonSet have in common."""

    def __init__(self, rng: random.Random, number: int, namespace: str) -> None:
        self.kind = ("Deployment", "Deployment", "StatefulSet", "DaemonSet")[number % 4]
        self.app = f"{_APPS[number % len(_APPS)]}-{number // len(_APPS)}" if number >= len(_APPS) else _APPS[number]
        self.namespace = namespace
        self.hash = hexadecimal(rng, 10)
        self.members = 0
        self.owner = {"Deployment": f"{self.app}-{self.hash}"}.get(self.kind, self.app)
        self.owner_kind = {"Deployment": "ReplicaSet"}.get(self.kind, self.kind)
        self.owner_uid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.image = f"registry.example.com/{rng.choice(_TEAMS)}/{self.app}:{_release(rng)}"
        self.sidecar = f"registry.example.com/platform/proxy:{_release(rng)}"
        self.digests = [f"sha256:{hexadecimal(rng, 64)}" for _ in range(2)]
        self.labels = {
            "app": self.app,
            "app.kubernetes.io/name": self.app,
            "app.kubernetes.io/part-of": rng.choice(_TEAMS),
            "tier": rng.choice(_TIERS),
        }
        if self.kind == "Deployment":
            self.labels["pod-template-hash"] = self.hash
        else:
            self.labels["controller-revision-hash"] = f"{self.app}-{self.hash}"
        self.annotations = {
            "checksum/config": hexadecimal(rng, 64),
            "prometheus.io/scrape": "true",
        }
        self.volumes = self._volumes()
        self.containers = [self._main(rng), self._proxy()]
        self._managed: tuple[dict[str, Any], dict[str, Any]] | None = None

    def name(self, rng: random.Random) -> str:
        """The next pod's name."""
        self.members += 1
        if self.kind == "StatefulSet":
            return f"{self.app}-{self.members - 1}"
        return f"{self.owner}-{letters(rng, 5)}"

    def _volumes(self) -> list[Object]:
        return [
            {"name": "config", "configMap": {"name": f"{self.app}-config", "defaultMode": 420}},
            {
                "name": "kube-api-access",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {
                            "configMap": {
                                "name": "kube-root-ca.crt",
                                "items": [{"key": "ca.crt", "path": "ca.crt"}],
                            }
                        },
                    ],
                    "defaultMode": 420,
                },
            },
        ]

    def _main(self, rng: random.Random) -> Object:
        env: list[Object] = [
            {
                "name": name,
                "value": f"{name.lower().replace('_', '-')}.{self.namespace}.svc:{rng.randint(1000, 9999)}",
            }
            for name in rng.sample(_ENV, 2)
        ]
        env.append({"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": f"{self.app}-keys", "key": "api-key"}}})
        return {
            "name": self.app,
            "image": self.image,
            "args": ["serve", "--config=/etc/app/config.yaml", f"--workers={rng.randint(2, 16)}"],
            "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
            ],
            "env": env,
            "resources": {
                "limits": {"memory": f"{rng.choice((256, 512, 1024))}Mi"},
                "requests": {"cpu": f"{rng.choice((50, 100, 250))}m", "memory": "128Mi"},
            },
            "volumeMounts": [
                {"name": "config", "readOnly": True, "mountPath": "/etc/app"},
                self._token_mount(),
            ],
            "readinessProbe": {
                "httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"},
                "timeoutSeconds": 1,
                "periodSeconds": 5,
                "successThreshold": 1,
                "failureThreshold": 2,
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
            },
        }

    def _proxy(self) -> Object:
        return {
            "name": "proxy",
            "image": self.sidecar,
            "resources": {},
            "volumeMounts": [self._token_mount()],
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        }

    def _token_mount(self) -> Object:
        return {
            "name": "kube-api-access",
            "readOnly": True,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }

    def managed_fields(self, pod: Object, created: str, seen: str) -> list[Object]:
        """Who wrote which field: kube-controller-manager the spec, the kubelet the status."""
        if self._managed is None:
            metadata = {
                name: pod["metadata"][name] for name in ("annotations", "generateName", "labels", "ownerReferences")
            }
            # What admission and the scheduler add (the token's volume, tolerations, the node) is neither's.
            spec = {name: value for name, value in pod["spec"].items() if name not in _NOT_THE_CONTROLLERS}
            spec["volumes"] = self.volumes[:-1]
            spec["containers"] = [_without_token(container) for container in self.containers]
            status = {name: value for name, value in pod["status"].items() if name not in _NOT_THE_KUBELETS}
            status["conditions"] = status["conditions"][:-1]
            self._managed = fields_of({"metadata": metadata, "spec": spec}), fields_of({"status": status})
        spec_fields, status_fields = self._managed
        addresses = {"f:podIPs": fields_of(pod["status"]["podIPs"], "podIPs", 3)}
        status_fields = {"f:status": {**status_fields["f:status"], **addresses}}
        return [
            managed("kube-controller-manager", spec_fields, "v1", created),
            managed("kubelet", status_fields, "v1", seen, status=True),
        ]


def make_pod(rng: random.Random, workload: Workload, name: str, created: str, started: str) -> Object:
    """One running pod of a workload."""
    node = f"node-{rng.randrange(200)}"
    address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    host = f"192.168.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    pending = rng.random() < 0.03
    pod: Object = {
        "metadata": {
            "name": name,
            "generateName": f"{workload.owner}-",
            "namespace": workload.namespace,
            "labels": workload.labels,
            "annotations": workload.annotations,
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": workload.owner_kind,
                    "name": workload.owner,
                    "uid": workload.owner_uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "volumes": workload.volumes,
            "containers": workload.containers,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": workload.app,
            "serviceAccount": workload.app,
            "nodeName": node,
            "securityContext": {"fsGroup": 2000},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {
                    "key": f"node.kubernetes.io/{trouble}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
                for trouble in ("not-ready", "unreachable")
            ],
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {
            "phase": "Pending" if pending else "Running",
            "conditions": [
                {
                    "type": kind,
                    "status": "False"
                    if pending and "Ready" in kind and kind != "PodReadyToStartContainers"
                    else "True",
                    "lastProbeTime": None,
                    "lastTransitionTime": started,
                }
                for kind in (
                    "PodReadyToStartContainers",
                    "Initialized",
                    "Ready",
                    "ContainersReady",
                    "PodScheduled",
                )
            ],
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": created,
            "containerStatuses": [
                _container_status(rng, container, digest, started, pending)
                for container, digest in zip(workload.containers, workload.digests, strict=True)
            ],
            "qosClass": "Burstable",
        },
    }
    pod["metadata"]["managedFields"] = workload.managed_fields(pod, created, started)
    return pod


def _container_status(rng: random.Random, container: Object, digest: str, started: str, pending: bool) -> Object:
    image = container["image"]
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    status: Object = {
        "name": container["name"],
        "state": waiting if pending else {"running": {"startedAt": started}},
        "lastState": {},
        "ready": not pending,
        "restartCount": 0 if rng.random() < 0.9 else rng.randint(1, 40),
        "image": image,
        "imageID": f"{image.rpartition(':')[0]}@{digest}",
        "started": not pending,
    }
    if not pending:
        status["containerID"] = f"containerd://{hexadecimal(rng, 64)}"
    return status
