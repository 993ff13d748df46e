"""Events: what happens to a pod one after the other, what happens to it again and again, and what else there is.

Each of a pod's events tells of the same pod, at times that follow; its messages are those of its neighbours with other
names in them. Two in five are of other objects: replica sets, nodes, cron jobs, leases, claims.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from kinform.testing._objects import words
from kinform.testing._objects.cluster import Cluster, Instance
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry
from kinform.testing._objects.random_values import NOW, between, chance, micro, moment, pick, uid, version, version_at

HOURS = 3
"""How long ago the oldest began, more or less: events are kept for some hours at most."""
PULL_ERROR = (
    'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
    'failed to resolve reference "{image}": {image}: not found'
)
REPEATED: tuple[tuple[str, str, str], ...] = (
    (
        "Unhealthy",
        "Readiness",
        'probe failed: Get "http://{ip}:{port}{path}": dial tcp {ip}:{port}: connection refused',
    ),
    ("Unhealthy", "Liveness", "probe failed: HTTP probe failed with statuscode: {code}"),
    ("BackOff", "", "Back-off restarting failed container {container} in pod {pod}_{place}({uid})"),
    ("FailedMount", "", 'MountVolume.SetUp failed for volume "{volume}" : configmap "{volume}" not found'),
    ("Failed", "", PULL_ERROR),
    (
        "FailedScheduling",
        "",
        "0/{many} nodes are available: {some} Insufficient cpu, {few} node(s) had untolerated taint",
    ),
)


def events(seed: int) -> Iterator[Object]:
    """Without end. About 1.1 KB of JSON each, 800 B without managedFields; counted ones, and some series."""
    cluster, rng = Cluster(seed), random.Random(f"{seed} events")
    for instance in cluster.instances():
        told = Told(rng, instance)
        if chance(rng, 0.55):
            yield from told.beginning()
        if chance(rng, 0.2):
            yield told.again()
        if chance(rng, 0.12):
            yield from told.end()
        if chance(rng, 0.8):
            yield other(rng, cluster, instance, told.at)


class Told:
    """What is told of one pod."""

    def __init__(self, rng: random.Random, instance: Instance) -> None:
        self._rng, self._pod = rng, instance
        self.at = NOW - 60 - int(rng.random() * HOURS * 3600)
        self._version = version_at(rng, self.at)

    def _event(self, by: str, reason: str, message: str, container: str = "", kind: str = "Normal") -> Object:
        pod = self._pod
        self.at += int(self._rng.random() * 3)
        about = {"kind": "Pod", "namespace": pod.load.place.name, "name": pod.name, "uid": pod.uid, "apiVersion": "v1"}
        about["resourceVersion"] = self._version
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        host = pod.node.name if by == "kubelet" else ""
        return event(self._rng, about, by, host, reason, message, kind, self.at)

    def beginning(self) -> Iterator[Object]:
        """From its scheduling to its start."""
        rng, pod = self._rng, self._pod
        place = pod.load.place.name
        if pod.load.kind != "Node":
            message = f"Successfully assigned {place}/{pod.name} to {pod.node.name}"
            yield self._event("default-scheduler", "Scheduled", message)
        for part in (*pod.load.initial, *pod.load.parts):
            name = part.spec["name"]
            if chance(rng, 0.4):
                yield self._event("kubelet", "Pulling", f'Pulling image "{part.image.name}"', name)
                took, size = f"{rng.random() * 9:.3f}s", between(rng, 10**6, 4 * 10**8)
                text = f'Successfully pulled image "{part.image.name}" in {took} ({took} including waiting).'
                yield self._event("kubelet", "Pulled", f"{text} Image size: {size} bytes.", name)
            else:
                text = f'Container image "{part.image.name}" already present on machine'
                yield self._event("kubelet", "Pulled", text, name)
            yield self._event("kubelet", "Created", f"Created container: {name}", name)
            yield self._event("kubelet", "Started", f"Started container {name}", name)

    def again(self) -> Object:
        """What is told once and counted."""
        rng, pod = self._rng, self._pod
        reason, probe, message = pick(rng, REPEATED)
        part, many = pick(rng, pod.load.parts), between(rng, 4, 300)
        text = f"{probe} {message}".strip().format(
            ip=pod.address,
            port=pick(rng, (8080, 8080, 9090, 8443)),
            path=pod.load.chart.path,
            code=pick(rng, (500, 502, 503, 503, 404)),
            container=part.spec["name"],
            image=part.image.name,
            pod=pod.name,
            place=pod.load.place.name,
            uid=pod.uid,
            volume=f"{pod.load.name}-{pick(rng, ('config', 'env', 'scripts'))}",
            many=many,
            some=many - many // 3,
            few=many // 3,
        )
        by = "default-scheduler" if reason == "FailedScheduling" else "kubelet"
        found = self._event(by, reason, text, part.spec["name"] if by == "kubelet" else "", "Warning")
        found["count"] = int(2 / (rng.random() + 0.001))
        found["firstTimestamp"] = moment(self.at - between(rng, 60, 6 * 3600))
        return found

    def end(self) -> Iterator[Object]:
        """A stop of each container."""
        for part in self._pod.load.parts:
            name = part.spec["name"]
            yield self._event("kubelet", "Killing", f"Stopping container {name}", name)


def other(rng: random.Random, cluster: Cluster, instance: Instance, at: int) -> Object:
    """One that tells of no pod."""
    load, node, place = instance.load, instance.node, instance.load.place.name
    match int(rng.random() * 10):
        case 0 | 1 | 2 if load.kind == "Deployment":
            about = _about("ReplicaSet", "apps/v1", load.revision, str(load.owner["uid"]), place, version(rng))
            text = f"Created pod: {instance.name}"
            return event(rng, about, "replicaset-controller", "", "SuccessfulCreate", text, "Normal", at)
        case 3 if load.kind == "Deployment":
            about = _about("Deployment", "apps/v1", load.name, load.uid, place, version(rng))
            text = f"Scaled up replica set {load.revision} from {between(rng, 0, 3)} to {between(rng, 4, 9)}"
            return event(rng, about, "deployment-controller", "", "ScalingReplicaSet", text, "Normal", at)
        case 4:
            about = _about("Node", "v1", node.name, node.name, "default", "")
            status = pick(
                rng, ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady")
            )
            text = f"Node {node.name} status is now: {status}"
            found = event(rng, about, "kubelet", node.name, status, text, "Normal", at)
            found["count"] = between(rng, 1, 9)
            return found
        case 5:
            name, holder = f"{load.name}-leader", f"{instance.name}_{uid(rng)}"
            about = _about("Lease", "coordination.k8s.io/v1", name, uid(rng), place, version(rng))
            return event(rng, about, load.name, "", "LeaderElection", f"{holder} became leader", "Normal", at)
        case 6:
            about = _about("HorizontalPodAutoscaler", "autoscaling/v2", load.name, uid(rng), place, version(rng))
            text = "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from API"
            found = event(rng, about, "horizontal-pod-autoscaler", "", "FailedGetResourceMetric", text, "Warning", at)
            found["count"] = between(rng, 2, 4000)
            return found
        case 7:
            name = f"{load.name}-{at // 60}"
            about = _about("CronJob", "batch/v1", load.name, load.uid, place, version(rng))
            text = pick(rng, (f"Created job {name}", f"Saw completed job: {name}, condition: Complete"))
            reason = "SuccessfulCreate" if text.startswith("Created") else "SawCompletedJob"
            return event(rng, about, "cronjob-controller", "", reason, text, "Normal", at)
        case _:
            # The events API's own form: a series instead of a count.
            about = _about("Application", "gitops.example.net/v1", load.name, load.uid, place, version(rng))
            status = pick(rng, ("Synced", "OutOfSync", "Progressing", "Healthy", "Degraded"))
            revision, product = f"{rng.getrandbits(160):040x}", pick(rng, words.PRODUCTS)
            text = f"Updated sync status of {product} to {status} at {revision}"
            found = event(rng, about, "gitops-controller", "", "ResourceUpdated", text, "Normal", at)
            found["source"], found["firstTimestamp"], found["lastTimestamp"] = {}, None, None
            del found["count"]
            found |= {"eventTime": micro(at, between(rng, 0, 999_999)), "action": "Sync"}
            found["series"] = {
                "count": between(rng, 2, 90),
                "lastObservedTime": micro(at + 60, between(rng, 0, 999_999)),
            }
            found["metadata"]["managedFields"][0]["fieldsV1"] = _fields(found)
            return found


def _about(kind: str, api_version: str, name: str, whose: str, place: str, known: str) -> Object:
    found = {"kind": kind, "namespace": place, "name": name, "uid": whose, "apiVersion": api_version}
    if kind == "Node":
        del found["namespace"], found["apiVersion"]
    return {**found, "resourceVersion": known} if known else found


def _fields(found: Object) -> Object:
    """What the teller owns: all that it set."""
    set_ = {f"f:{name}": Object() for name, each in found.items() if each and name != "metadata"}
    if found["source"]:
        set_["f:source"] = {f"f:{name}": {} for name in found["source"]}
    return dict(sorted(set_.items()))


def event(
    rng: random.Random, about: Object, by: str, host: str, reason: str, message: str, kind: str, at: int
) -> Object:
    """One, of an object, told by a component."""
    name = f"{about['name']}.{(at * 10**9 + int(rng.random() * 10**9)):016x}"
    metadata: Object = {"name": name, "namespace": about.get("namespace", "default"), "uid": uid(rng)}
    metadata |= {"resourceVersion": version_at(rng, at), "creationTimestamp": moment(at)}
    source = {"component": by, "host": host} if host else {"component": by}
    found: Object = {
        "metadata": metadata,
        "involvedObject": about,
        "reason": reason,
        "message": message,
        "source": source,
        "firstTimestamp": moment(at),
        "lastTimestamp": moment(at),
        "count": 1,
        "type": kind,
        "eventTime": None,
        "reportingComponent": by,
        "reportingInstance": host,
    }
    metadata["managedFields"] = [entry("kubelet" if host else by, moment(at), _fields(found))]
    return found
