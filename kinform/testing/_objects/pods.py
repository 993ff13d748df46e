"""Pods with the fields that controllers, the scheduler and a kubelet set.

Replicas share in memory what they have in common, except the parts that `touch` changes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from kinform.testing._objects.cluster import Cluster, Instance
from kinform.testing._objects.containers import Container
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, metadata_field_set
from kinform.testing._objects.random_values import NAME_ALPHABET, pick, resource_version, sha256, timestamp
from kinform.testing._objects.words import POD_CONDITIONS
from kinform.testing._objects.workloads import Workload

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CACHED_FIELD_SETS = 8
"""The number of owners of one workload whose field sets are kept: DaemonSets and Jobs have many."""


def pods(seed: int) -> Iterator[Object]:
    """Yields pods without end: about 7.3 KB of JSON each, 2.4 KB of it managedFields."""
    cluster, rng, templates = Cluster(seed), random.Random(f"{seed} pods"), dict[int, Template]()
    for instance in cluster.instances():
        workload = instance.workload
        template = templates.get(id(workload)) or templates.setdefault(id(workload), Template(workload))
        yield template.pod(rng, instance)


class Template:
    """The parts that all pods of a workload share."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._labels, self._annotations = dict(workload.labels), dict(workload.annotations)
        self._manager = "kube-controller-manager"
        match workload.kind:
            case "Deployment":
                self._labels["pod-template-hash"] = workload.template_hash
            case "DaemonSet" | "StatefulSet":
                self._labels["controller-revision-hash"] = workload.template_hash
            case "Node":
                self._manager = "kubelet"
            case "":
                self._manager = "kubectl-client-side-apply"
                self._annotations[LAST_APPLIED] = workload.last_applied()
        self._labels = dict(sorted(self._labels.items()))
        self._spec = workload.admitted_spec()
        self._field_sets = dict[str, Object]()

    def pod(self, rng: random.Random, instance: Instance) -> Object:
        """Returns a pod of the workload."""
        created = timestamp(instance.created)
        metadata, fields = self._metadata(rng, instance, created)
        spec, pod_status = self._pod_spec(rng, instance), status(rng, instance)
        metadata["managedFields"] = fields
        if instance.state == "unscheduled":
            scheduler_fields = {"f:status": {"f:conditions": {'k:{"type":"PodScheduled"}': _UNSCHEDULABLE_FIELDS}}}
            fields.append(entry("kube-scheduler", created, scheduler_fields, subresource="status"))
        else:
            updated = pod_status["conditions"][2]["lastTransitionTime"]
            fields.append(entry("kubelet", updated, {"f:status": _kubelet_fields(pod_status)}, subresource="status"))
        return {"metadata": metadata, "spec": spec, "status": pod_status}

    def _metadata(self, rng: random.Random, instance: Instance, created: str) -> tuple[Object, list[Object]]:
        workload, owner, labels, annotations = self._workload, instance.owner, self._labels, self._annotations
        metadata: Object = {"name": instance.name}
        match workload.kind:
            case "Deployment":
                metadata["generateName"] = f"{workload.revision_name}-"
            case "DaemonSet" | "StatefulSet":
                metadata["generateName"] = f"{workload.name}-"
            case "Job" if owner:
                metadata["generateName"] = f"{owner['name']}-"
        metadata |= {"namespace": workload.namespace.name, "uid": instance.uid}
        metadata |= {"resourceVersion": resource_version(rng), "creationTimestamp": created}
        if workload.kind == "StatefulSet":
            labels = {**labels, "apps.kubernetes.io/pod-index": str(instance.index)}
            labels["statefulset.kubernetes.io/pod-name"] = instance.name
        elif workload.kind == "Job" and owner:
            labels = {**labels, "batch.kubernetes.io/controller-uid": owner["uid"]}
            labels["batch.kubernetes.io/job-name"] = owner["name"]
        metadata["labels"] = labels
        if workload.kind == "Node":
            digest = f"{rng.getrandbits(128):032x}"
            config = {"kubernetes.io/config.hash": digest, "kubernetes.io/config.mirror": digest}
            annotations = {**annotations, **config, "kubernetes.io/config.seen": created}
        if annotations:
            metadata["annotations"] = annotations
        if owner:
            metadata["ownerReferences"] = [owner]
        return metadata, [entry(self._manager, created, self._creator_fields(metadata))]

    def _creator_fields(self, metadata: Object) -> Object:
        """Returns the field set of the creator; pods with the same owner share it."""
        owners = metadata.get("ownerReferences")
        owner_uid = owners[0]["uid"] if owners else ""
        if owner_uid not in self._field_sets:
            if len(self._field_sets) > _CACHED_FIELD_SETS:
                self._field_sets.clear()
            fields = metadata_field_set(metadata)
            self._field_sets[owner_uid] = {"f:metadata": fields, "f:spec": self._workload.spec_fields}
        return self._field_sets[owner_uid]

    def _pod_spec(self, rng: random.Random, instance: Instance) -> Object:
        workload, spec = self._workload, dict(self._spec)
        if workload.mounts_token:
            token = "kube-api-access-" + "".join([pick(rng, NAME_ALPHABET) for _ in range(5)])
            mount = {"name": token, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
            volumes = spec.get("volumes", [])
            if workload.kind == "StatefulSet":
                volumes = [_with_claim(volume, instance.name) for volume in volumes]
            spec = {"volumes": None, **spec}
            spec["volumes"] = [*volumes, {"name": token, "projected": _TOKEN_SOURCES}]
            spec["containers"] = [_with_mount(each.spec, mount) for each in workload.containers]
            if workload.init_containers:
                spec["initContainers"] = [_with_mount(each.spec, mount) for each in workload.init_containers]
        if workload.kind == "DaemonSet":
            field = {"key": "metadata.name", "operator": "In", "values": [instance.node.name]}
            terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
            affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
            spec = _inserted(spec, "affinity", affinity, "schedulerName")
        if instance.state == "unscheduled":
            del spec["nodeName"]
        else:
            spec["nodeName"] = instance.node.name
        return spec


_TOKEN_SOURCES = {
    "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ],
    "defaultMode": 420,
}


def _with_mount(container: Object, mount: Object) -> Object:
    if "volumeMounts" in container:
        return {**container, "volumeMounts": [*container["volumeMounts"], mount]}
    return _inserted(container, "volumeMounts", [mount], "livenessProbe", "readinessProbe", "terminationMessagePath")


def _inserted(obj: Object, name: str, value: object, *before: str) -> Object:
    """Returns a copy with one more field, in front of the first field of `before`."""
    copy, pending = Object(), True
    for each, field in obj.items():
        if pending and each in before:
            copy[name], pending = value, False
        copy[each] = field
    return copy


def _with_claim(volume: Object, pod: str) -> Object:
    if "persistentVolumeClaim" not in volume:
        return volume
    return {"name": volume["name"], "persistentVolumeClaim": {"claimName": f"{volume['name']}-{pod}"}}


_UNSCHEDULABLE_FIELDS: Object = {
    ".": {},
    **{f"f:{name}": {} for name in ("lastProbeTime", "lastTransitionTime", "message", "reason", "status", "type")},
}
_UNSCHEDULABLE = (
    "0/{all} nodes are available: {spot} node(s) had untolerated taint {{example.com/spot: true}}, "
    "{rest} Insufficient memory."
)


def status(rng: random.Random, instance: Instance) -> Object:
    """Returns the status that the kubelet, or else the scheduler, reports."""
    created, state, workload = instance.created, instance.state, instance.workload
    if state == "unscheduled":
        spot = 1 + int(rng.random() * 9)
        condition = _condition("PodScheduled", timestamp(created)) | {"status": "False", "reason": "Unschedulable"}
        condition["message"] = _UNSCHEDULABLE.format(all=4 * spot, spot=spot, rest=3 * spot)
        return {"phase": "Pending", "conditions": [condition], "qosClass": _qos_class(workload)}
    started = created + int(rng.random() * 3)
    sandbox_ready = started + 1 + int(rng.random() * 4)
    initialized = sandbox_ready + len(workload.init_containers) * (1 + int(rng.random() * 20))
    ready = initialized + 2 + int(rng.random() * 40)
    times = (sandbox_ready, initialized, ready, ready, created)
    conditions = [_condition(type_, timestamp(time)) for type_, time in zip(POD_CONDITIONS, times, strict=True)]
    if state != "running":
        _degrade(conditions, state, str(workload.containers[0].spec["name"]))
    phase = {"succeeded": "Succeeded", "failed": "Failed", "pulling": "Pending"}.get(state, "Running")
    found: Object = {"phase": phase, "conditions": conditions, "hostIP": instance.node.address}
    found["hostIPs"] = [{"ip": instance.node.address}]
    found |= {"podIP": instance.address, "podIPs": [{"ip": instance.address}], "startTime": timestamp(started)}
    if workload.init_containers:
        found["initContainerStatuses"] = [
            _terminated(rng, container, sandbox_ready, initialized, 0) for container in workload.init_containers
        ]
    state_of_others = "succeeded" if phase in ("Succeeded", "Failed") else "running"
    found["containerStatuses"] = [
        _container_status(rng, container, state_of_others if at else state, initialized + 1 + at // 2, ready)
        for at, container in enumerate(workload.containers)
    ]
    found["qosClass"] = _qos_class(workload)
    return found


def _condition(type_: str, time: str) -> Object:
    return {"type": type_, "status": "True", "lastProbeTime": None, "lastTransitionTime": time}


def _degrade(conditions: list[Object], state: str, container: str) -> None:
    for condition in conditions[2:4]:
        condition["status"] = "False"
        if state in ("succeeded", "failed"):
            condition["reason"] = "PodCompleted" if state == "succeeded" else "PodFailed"
        else:
            condition["reason"] = "ContainersNotReady"
            condition["message"] = f"containers with unready status: [{container}]"
    if state == "succeeded":
        conditions[0]["status"] = "False"
        conditions[0]["reason"] = conditions[1]["reason"] = "PodCompleted"


def _container_status(rng: random.Random, container: Container, state: str, started: int, ready: int) -> Object:
    if state in ("succeeded", "failed"):
        return _terminated(rng, container, started, ready + int(rng.random() * 3000), 0 if state == "succeeded" else 1)
    found: Object = {"name": container.spec["name"]}
    restarts = int(1 / (rng.random() + 0.02)) - 1 if rng.random() < 0.2 else 0
    if state == "pulling":
        message = f'Back-off pulling image "{container.image.name}"'
        waiting = {"reason": "ImagePullBackOff", "message": message}
        found |= {"state": {"waiting": waiting}, "lastState": {}, "ready": False, "restartCount": 0}
        return found | {"image": container.image.name, "imageID": "", "started": False}
    restarted = started if not restarts else ready + int(rng.random() * 90_000)
    last_state: Object = {}
    if restarts or state == "crashing":
        code = pick(rng, (0, 1, 1, 2, 137, 137, 143, 255))
        reason = {0: "Completed", 137: "OOMKilled"}.get(code, "Error")
        ended = {"startedAt": timestamp(started), "finishedAt": timestamp(restarted - 1)}
        container_id = f"containerd://{sha256(rng)}"
        last_state = {"terminated": {"exitCode": code, "reason": reason, **ended, "containerID": container_id}}
    if state == "crashing":
        message = f"back-off 5m0s restarting failed container={container.spec['name']}"
        found["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        restarts = 5 + int(rng.random() * 4000)
    else:
        found["state"] = {"running": {"startedAt": timestamp(restarted)}}
    running = state == "running"
    found |= {"lastState": last_state, "ready": running, "restartCount": restarts, "image": container.image.name}
    return found | {"imageID": container.image.digest, "containerID": f"containerd://{sha256(rng)}", "started": running}


def _terminated(rng: random.Random, container: Container, started: int, finished: int, code: int) -> Object:
    container_id = f"containerd://{sha256(rng)}"
    ended = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": timestamp(started)}
    ended |= {"finishedAt": timestamp(finished), "containerID": container_id}
    found: Object = {"name": container.spec["name"], "state": {"terminated": ended}, "lastState": {}}
    found |= {"ready": not code, "restartCount": 0}
    found |= {"image": container.image.name, "imageID": container.image.digest}
    return found | {"containerID": container_id, "started": False}


def _qos_class(workload: Workload) -> str:
    each = [container.spec.get("resources", {}) for container in workload.containers]
    if not any(each):
        return "BestEffort"
    return "Guaranteed" if all(one.get("limits") == one.get("requests") for one in each) else "Burstable"


def _kubelet_fields(pod_status: Object) -> Object:
    """Returns the field set of the kubelet: all but the condition PodScheduled."""
    shape = tuple(("reason" in each) + ("message" in each) for each in pod_status["conditions"][:4])
    fields: Object = {"f:conditions": _condition_fields(shape), "f:containerStatuses": {}}
    fields |= {"f:hostIP": {}, "f:hostIPs": {}}
    if "initContainerStatuses" in pod_status:
        fields["f:initContainerStatuses"] = {}
    if pod_status["phase"] != "Pending":
        fields["f:phase"] = {}
    key = f'k:{{"ip":"{pod_status["podIP"]}"}}'
    return fields | {"f:podIP": {}, "f:podIPs": {".": {}, key: {".": {}, "f:ip": {}}}, "f:startTime": {}}


@cache
def _condition_fields(shape: tuple[int, ...]) -> Object:
    """Returns the field set of the kubelet's four conditions.

    `shape` has for each condition the number of its optional fields: 0, 1 (reason) or 2 (reason and message).
    """
    fields = Object()
    for type_, further in sorted(zip(POD_CONDITIONS, shape, strict=False)):
        names = sorted(("lastProbeTime", "lastTransitionTime", "status", "type", *("reason", "message")[:further]))
        fields[f'k:{{"type":"{type_}"}}'] = {".": {}, **{f"f:{name}": {} for name in names}}
    return fields
