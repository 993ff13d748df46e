"""Objects to measure with: pods as a Deployment's controller and a kubelet leave them, the same ones every time.

About 7.2 KB of JSON each, 2.5 KB of it managedFields. Made up: no real cluster's data.
"""

from __future__ import annotations

import json
import random
from typing import Any

NAMESPACES = ("shop", "till", "stock", "search", "billing", "platform-observability")
APPS = ("web", "cart", "api-gateway", "indexer", "ledger", "notifier", "image-resizer", "session-store")


def pod(number: int) -> dict[str, Any]:
    """One pod, the same for the same number. Key order as kube-apiserver writes it."""
    rng = random.Random(number)
    app, namespace = rng.choice(APPS), rng.choice(NAMESPACES)
    hash_ = f"{rng.getrandbits(36):09x}"
    name = f"{app}-{hash_}-{''.join(rng.choices('bcdfghjklmnpqrstvwxz2456789', k=5))}"
    node, ip = f"node-{rng.randrange(400)}.eu-central-1.internal", f"10.{rng.randrange(64)}.{rng.randrange(256)}.7"
    begun = f"2026-03-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:{rng.randrange(60):02}:07Z"
    containers = [container(rng, app, begun), container(rng, "envoy-sidecar", begun)]
    return {
        "metadata": {
            "name": name,
            "generateName": f"{app}-{hash_}-",
            "namespace": namespace,
            "uid": uid(rng),
            "resourceVersion": str(rng.randrange(10**8, 10**9)),
            "generation": 1,
            "creationTimestamp": begun,
            "labels": {
                "app": app,
                "app.kubernetes.io/name": app,
                "app.kubernetes.io/part-of": namespace,
                "pod-template-hash": hash_,
                "team": rng.choice(("blue", "green", "red")),
            },
            "annotations": {
                "kubectl.kubernetes.io/restartedAt": begun,
                "prometheus.io/scrape": "true",
            },
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"{app}-{hash_}",
                    "uid": uid(rng),
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
            "managedFields": [
                managed("kube-controller-manager", begun, managed_spec(app), None),
                managed("kubelet", begun, managed_status(ip), "status"),
            ],
        },
        "spec": {
            "volumes": [
                {"name": "config", "configMap": {"name": f"{app}-config", "defaultMode": 420}},
                {
                    "name": "kube-api-access-x7k2p",
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
            ],
            "containers": [spec for spec, _ in containers],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": app,
            "serviceAccount": app,
            "nodeName": node,
            "securityContext": {"fsGroup": 2000},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {
                    "key": f"node.kubernetes.io/{key}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
                for key in ("not-ready", "unreachable")
            ],
            "priority": 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": type_, "status": "True", "lastProbeTime": None, "lastTransitionTime": begun}
                for type_ in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "hostIP": "10.0.3.4",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "startTime": begun,
            "containerStatuses": [status for _, status in containers],
            "qosClass": "Burstable",
        },
    }


def container(rng: random.Random, name: str, begun: str) -> tuple[dict[str, Any], dict[str, Any]]:
    image = f"registry.internal.example/{name}:v{rng.randrange(9)}.{rng.randrange(40)}.{rng.randrange(10)}"
    digest = f"registry.internal.example/{name}@sha256:{rng.getrandbits(256):064x}"
    spec = {
        "name": name,
        "image": image,
        "args": ["--listen=:8080", f"--config=/etc/{name}/config.yaml", "--log-format=json"],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
            {"name": "LOG_LEVEL", "value": "info"},
        ],
        "resources": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "250m", "memory": "512Mi"}},
        "volumeMounts": [{"name": "config", "readOnly": True, "mountPath": f"/etc/{name}"}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"runAsNonRoot": True, "allowPrivilegeEscalation": False},
    }
    status = {
        "name": name,
        "state": {"running": {"startedAt": begun}},
        "lastState": {},
        "ready": True,
        "restartCount": rng.randrange(3),
        "image": image,
        "imageID": digest,
        "containerID": f"containerd://{rng.getrandbits(256):064x}",
        "started": True,
    }
    return spec, status


def uid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def managed(by: str, at: str, fields: dict[str, Any], subresource: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"manager": by, "operation": "Update", "apiVersion": "v1", "time": at}
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": fields}
    return entry | ({"subresource": subresource} if subresource else {})


def managed_spec(app: str) -> dict[str, Any]:
    each: dict[str, Any] = {
        f"f:{field}": {}
        for field in (
            "args",
            "image",
            "command",
            "workingDir",
            "startupProbe",
            "imagePullPolicy",
            "name",
            "resources",
            "securityContext",
            "terminationMessagePath",
            "terminationMessagePolicy",
        )
    }
    each["f:ports"] = {
        ".": {},
        'k:{"containerPort":8080,"protocol":"TCP"}': {".": {}, "f:containerPort": {}, "f:protocol": {}},
    }
    each["f:env"] = {".": {}, 'k:{"name":"LOG_LEVEL"}': {".": {}, "f:name": {}, "f:value": {}}}
    return {
        "f:metadata": {
            "f:annotations": {".": {}, "f:prometheus.io/scrape": {}},
            "f:generateName": {},
            "f:labels": {".": {}, "f:app": {}, "f:app.kubernetes.io/name": {}, "f:pod-template-hash": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"5bf2ee33-8b41-4be9-a57d-04aa11b0f3c7"}': {}},
        },
        "f:spec": {
            "f:affinity": {},
            "f:nodeSelector": {},
            "f:tolerations": {},
            "f:containers": {f'k:{{"name":"{name}"}}': {".": {}, **each} for name in (app, "envoy-sidecar")},
            "f:dnsPolicy": {},
            "f:enableServiceLinks": {},
            "f:restartPolicy": {},
            "f:schedulerName": {},
            "f:securityContext": {".": {}, "f:fsGroup": {}},
            "f:serviceAccountName": {},
            "f:terminationGracePeriodSeconds": {},
            "f:volumes": {".": {}, 'k:{"name":"config"}': {".": {}, "f:configMap": {".": {}, "f:name": {}}}},
        },
    }


def managed_status(ip: str) -> dict[str, Any]:
    fields: dict[str, Any] = {f"f:{field}": {} for field in ("lastProbeTime", "lastTransitionTime", "status", "type")}
    types = ("ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready")
    return {
        "f:status": {
            "f:conditions": {f'k:{{"type":"{type_}"}}': {".": {}, **fields} for type_ in types},
            "f:containerStatuses": {},
            "f:hostIP": {},
            "f:phase": {},
            "f:podIP": {},
            "f:podIPs": {".": {}, f'k:{{"ip":"{ip}"}}': {".": {}, "f:ip": {}}},
            "f:startTime": {},
        }
    }


def dump(value: object) -> bytes:
    """Compact JSON, as kube-apiserver writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
