"""Pods as controllers, the scheduler and a kubelet leave them: what an instance is, written out.

What replicas have in common is one object in memory, for all of them; nothing that `touch` changes is shared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from kinform.testing._objects.cluster import Cluster, Instance
from kinform.testing._objects.containers import Part
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry, of_metadata
from kinform.testing._objects.random_values import ALPHABET, moment, pick, sha256, version
from kinform.testing._objects.words import CONDITIONS
from kinform.testing._objects.workloads import APPLIED, Workload, applied


def pods(seed: int) -> Iterator[Object]:
    """Without end. About 7.3 KB of JSON each, 2.4 KB of it managedFields."""
    cluster, rng, templates = Cluster(seed), random.Random(f"{seed} pods"), dict[int, Template]()
    for instance in cluster.instances():
        load = instance.load
        template = templates.get(id(load)) or templates.setdefault(id(load), Template(load))
        yield template.pod(rng, instance)


class Template:
    """What the pods of a workload have in common, ready to be taken over."""

    def __init__(self, load: Workload) -> None:
        self._load = load
        self._labels, self._annotations = dict(load.labels), dict(load.annotations)
        self._by = "kube-controller-manager"
        match load.kind:
            case "Deployment":
                self._labels["pod-template-hash"] = load.hash
            case "DaemonSet" | "StatefulSet":
                self._labels["controller-revision-hash"] = load.hash
            case "Node":
                self._by = "kubelet"
            case "":
                self._by = "kubectl-client-side-apply"
                self._annotations[APPLIED] = applied(load)
        self._labels = dict(sorted(self._labels.items()))
        self._spec = load.admitted()
        self._volumes, self._claims = self._spec.get("volumes", []), load.kind == "StatefulSet"
        self._fields = dict[str, Object]()

    def pod(self, rng: random.Random, instance: Instance) -> Object:
        """One of them."""
        begun = moment(instance.begun)
        metadata, fields = self._metadata(rng, instance, begun)
        found = {"metadata": metadata, "spec": self._specified(rng, instance), "status": status(rng, instance)}
        metadata["managedFields"] = fields
        known = found["status"]
        if instance.state == "unscheduled":
            owned = {"f:status": {"f:conditions": {'k:{"type":"PodScheduled"}': UNSCHEDULED}}}
            fields.append(entry("kube-scheduler", begun, owned, subresource="status"))
        else:
            last = known["conditions"][2]["lastTransitionTime"]
            fields.append(entry("kubelet", last, {"f:status": _of_status(known)}, subresource="status"))
        return found

    def _metadata(self, rng: random.Random, instance: Instance, begun: str) -> tuple[Object, list[Object]]:
        load, owner, labels, annotations = self._load, instance.owner, self._labels, self._annotations
        found: Object = {"name": instance.name}
        match load.kind:
            case "Deployment":
                found["generateName"] = f"{load.revision}-"
            case "DaemonSet" | "StatefulSet":
                found["generateName"] = f"{load.name}-"
            case "Job" if owner:
                found["generateName"] = f"{owner['name']}-"
        found |= {"namespace": load.place.name, "uid": instance.uid, "resourceVersion": version(rng)}
        found["creationTimestamp"] = begun
        if load.kind == "StatefulSet":
            labels = {**labels, "apps.kubernetes.io/pod-index": str(instance.turn)}
            labels["statefulset.kubernetes.io/pod-name"] = instance.name
        elif load.kind == "Job" and owner:
            labels = {**labels, "batch.kubernetes.io/controller-uid": owner["uid"]}
            labels["batch.kubernetes.io/job-name"] = owner["name"]
        found["labels"] = labels
        if load.kind == "Node":
            digest = f"{rng.getrandbits(128):032x}"
            marks = {"kubernetes.io/config.hash": digest, "kubernetes.io/config.mirror": digest}
            annotations = {**annotations, **marks, "kubernetes.io/config.seen": begun}
        if annotations:
            found["annotations"] = annotations
        if owner:
            found["ownerReferences"] = [owner]
        fields = [entry(self._by, begun, self._created(found, labels, annotations, owner))]
        return found, fields

    def _created(self, metadata: Object, labels: Object, annotations: Object, owner: Object | None) -> Object:
        """What the creator owns; of replicas of one controller the same object."""
        whose = owner["uid"] if owner else ""
        if whose not in self._fields:
            if len(self._fields) > 8:
                self._fields.clear()
            about = {"generateName": metadata.get("generateName"), "labels": labels}
            about |= {"annotations": annotations} if annotations else {}
            about |= {"ownerReferences": [owner]} if owner else {}
            if not about["generateName"]:
                del about["generateName"]
            self._fields[whose] = {"f:metadata": of_metadata(about), "f:spec": self._load.owned_spec}
        return self._fields[whose]

    def _specified(self, rng: random.Random, instance: Instance) -> Object:
        load, found = self._load, dict(self._spec)
        if load.mounts_token:
            token = "kube-api-access-" + "".join([pick(rng, ALPHABET) for _ in range(5)])
            mount = {"name": token, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
            volumes = self._volumes
            if self._claims:
                volumes = [_claimed(each, instance.name) for each in volumes]
            found = {"volumes": None, **found}
            found["volumes"] = [*volumes, {"name": token, "projected": PROJECTED}]
            found["containers"] = [_mounted(each.spec, mount) for each in load.parts]
            if load.initial:
                found["initContainers"] = [_mounted(each.spec, mount) for each in load.initial]
        if load.kind == "DaemonSet":
            field = {"key": "metadata.name", "operator": "In", "values": [instance.node.name]}
            terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
            required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
            found = _after(found, "affinity", required, "schedulerName")
        if instance.state == "unscheduled":
            del found["nodeName"]
        else:
            found["nodeName"] = instance.node.name
        return found


PROJECTED = {
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


def _mounted(spec: Object, mount: Object) -> Object:
    if "volumeMounts" in spec:
        return {**spec, "volumeMounts": [*spec["volumeMounts"], mount]}
    return _after(spec, "volumeMounts", [mount], "livenessProbe", "readinessProbe", "terminationMessagePath")


def _after(found: Object, name: str, value: object, *before: str) -> Object:
    """With one more member, in front of the first of these that is there."""
    made, pending = Object(), True
    for each, member in found.items():
        if pending and each in before:
            made[name], pending = value, False
        made[each] = member
    return made


def _claimed(volume: Object, name: str) -> Object:
    if "persistentVolumeClaim" not in volume:
        return volume
    return {"name": volume["name"], "persistentVolumeClaim": {"claimName": f"{volume['name']}-{name}"}}


UNSCHEDULED: Object = {
    ".": {},
    **{f"f:{each}": {} for each in ("lastProbeTime", "lastTransitionTime", "message", "reason", "status", "type")},
}
TAINTS = "{spot} node(s) had untolerated taint {{example.com/spot: true}}, {rest} Insufficient memory"


def status(rng: random.Random, instance: Instance) -> Object:
    """As the kubelet tells it; of a pod that is on no node, as the scheduler does."""
    begun, state, load = instance.begun, instance.state, instance.load
    if state == "unscheduled":
        spot = 1 + int(rng.random() * 9)
        message = TAINTS.format(spot=spot, rest=3 * spot)
        why: Object = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": moment(begun),
        }
        why |= {"reason": "Unschedulable", "message": f"0/{4 * spot} nodes are available: {message}."}
        return {"phase": "Pending", "conditions": [why], "qosClass": _quality(load)}
    started = begun + int(rng.random() * 3)
    sandboxed = started + 1 + int(rng.random() * 4)
    initialized = sandboxed + len(load.initial) * (1 + int(rng.random() * 20))
    ready = initialized + 2 + int(rng.random() * 40)
    at, was, by, since = moment(begun), moment(sandboxed), moment(initialized), moment(ready)
    conditions: list[Object] = [
        {"type": "PodReadyToStartContainers", "status": "True", "lastProbeTime": None, "lastTransitionTime": was},
        {"type": "Initialized", "status": "True", "lastProbeTime": None, "lastTransitionTime": by},
        {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": since},
        {"type": "ContainersReady", "status": "True", "lastProbeTime": None, "lastTransitionTime": since},
        {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": at},
    ]
    if state != "running":
        _worsen(conditions, state, str(load.parts[0].spec["name"]))
    phase = {"succeeded": "Succeeded", "failed": "Failed", "pulling": "Pending"}.get(state, "Running")
    found: Object = {"phase": phase, "conditions": conditions, "hostIP": instance.node.address}
    found["hostIPs"] = [{"ip": instance.node.address}]
    found |= {"podIP": instance.address, "podIPs": [{"ip": instance.address}], "startTime": moment(started)}
    if load.initial:
        found["initContainerStatuses"] = [_done(rng, each, sandboxed, initialized, 0) for each in load.initial]
    found["containerStatuses"] = [
        _contained(rng, each, state if place == 0 else "succeeded" if phase in ("Succeeded", "Failed") else "running",
                   initialized + 1 + place // 2, ready)
        for place, each in enumerate(load.parts)
    ]  # fmt: skip
    found["qosClass"] = _quality(load)
    return found


def _worsen(conditions: list[Object], state: str, container: str) -> None:
    for each in conditions[2:4]:
        each["status"] = "False"
        if state in ("succeeded", "failed"):
            each["reason"] = "PodCompleted" if state == "succeeded" else "PodFailed"
        else:
            each["reason"] = "ContainersNotReady"
            each["message"] = f"containers with unready status: [{container}]"
    if state == "succeeded":
        conditions[0]["status"] = "False"
        conditions[0]["reason"] = conditions[1]["reason"] = "PodCompleted"


def _contained(rng: random.Random, part: Part, state: str, begun: int, ready: int) -> Object:
    if state in ("succeeded", "failed"):
        return _done(rng, part, begun, ready + int(rng.random() * 3000), 0 if state == "succeeded" else 1)
    found: Object = {"name": part.spec["name"]}
    again = int(1 / (rng.random() + 0.02)) - 1 if rng.random() < 0.2 else 0
    if state == "pulling":
        waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{part.image.name}"'}
        found |= {"state": {"waiting": waiting}, "lastState": {}, "ready": False, "restartCount": 0}
        return found | {"image": part.image.name, "imageID": "", "started": False}
    at = begun if not again else ready + int(rng.random() * 90_000)
    last: Object = {}
    if again or state == "crashing":
        code = pick(rng, (0, 1, 1, 2, 137, 137, 143, 255))
        reason = {0: "Completed", 137: "OOMKilled"}.get(code, "Error")
        last = {"exitCode": code, "reason": reason, "startedAt": moment(begun), "finishedAt": moment(at - 1)}
        last = {"terminated": {**last, "containerID": f"containerd://{sha256(rng)}"}}
    if state == "crashing":
        message = f"back-off 5m0s restarting failed container={part.spec['name']}"
        found["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        again = 5 + int(rng.random() * 4000)
    else:
        found["state"] = {"running": {"startedAt": moment(at)}}
    found |= {"lastState": last, "ready": state == "running", "restartCount": again, "image": part.image.name}
    found |= {"imageID": part.image.digest, "containerID": f"containerd://{sha256(rng)}"}
    found["started"] = state == "running"
    return found


def _done(rng: random.Random, part: Part, begun: int, ended: int, code: int) -> Object:
    which = f"containerd://{sha256(rng)}"
    about = {"exitCode": code, "reason": "Error" if code else "Completed", "startedAt": moment(begun)}
    about |= {"finishedAt": moment(ended), "containerID": which}
    found: Object = {"name": part.spec["name"], "state": {"terminated": about}, "lastState": {}}
    found |= {"ready": not code, "restartCount": 0, "image": part.image.name, "imageID": part.image.digest}
    return found | {"containerID": which, "started": False}


def _quality(load: Workload) -> str:
    given = [each.spec.get("resources", {}) for each in load.parts]
    if not any(given):
        return "BestEffort"
    return "Guaranteed" if all(each.get("limits") == each.get("requests") for each in given) else "Burstable"


def _of_status(found: Object) -> Object:
    """What the kubelet owns: all but that the pod was scheduled."""
    shape = tuple(("reason" in each) + ("message" in each) for each in found["conditions"][:4])
    owned: Object = {"f:conditions": _conditions(shape), "f:containerStatuses": {}, "f:hostIP": {}, "f:hostIPs": {}}
    if "initContainerStatuses" in found:
        owned["f:initContainerStatuses"] = {}
    if found["phase"] != "Pending":
        owned["f:phase"] = {}
    key = f'k:{{"ip":"{found["podIP"]}"}}'
    return owned | {"f:podIP": {}, "f:podIPs": {".": {}, key: {".": {}, "f:ip": {}}}, "f:startTime": {}}


@cache
def _conditions(shape: tuple[int, ...]) -> Object:
    """Of the kubelet's four conditions; whether each has a reason, and a message too."""
    found = Object()
    for type_, told in sorted(zip(CONDITIONS, shape, strict=False)):
        names = sorted(("lastProbeTime", "lastTransitionTime", "status", "type", *("reason", "message")[:told]))
        found[f'k:{{"type":"{type_}"}}'] = {".": {}, **{f"f:{each}": {} for each in names}}
    return found
