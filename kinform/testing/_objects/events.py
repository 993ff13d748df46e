"""Events of pods, single and repeated, and of other objects.

The events of a pod follow each other in time, and their messages differ from those of other pods only by names. Two in
five events are of other objects: ReplicaSets, nodes, cron jobs, leases, claims.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from kinform.testing._objects import words
from kinform.testing._objects.cluster import Cluster, Instance
from kinform.testing._objects.kinds import Object
from kinform.testing._objects.managed_fields import entry
from kinform.testing._objects.random_values import (
    NOW,
    between,
    chance,
    micro_timestamp,
    pick,
    resource_version,
    resource_version_at,
    timestamp,
    uid,
)

MAX_AGE = 3 * 3600
"""Seconds since the first event of a pod: an API server keeps events for some hours at most."""
_PULL_ERROR = (
    'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
    'failed to resolve reference "{image}": {image}: not found'
)
_REPEATED: tuple[tuple[str, str], ...] = (
    (
        "Unhealthy",
        'Readiness probe failed: Get "http://{ip}:{port}{path}": dial tcp {ip}:{port}: connection refused',
    ),
    ("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: {code}"),
    ("BackOff", "Back-off restarting failed container {container} in pod {pod}_{namespace}({uid})"),
    ("FailedMount", 'MountVolume.SetUp failed for volume "{volume}" : configmap "{volume}" not found'),
    ("Failed", _PULL_ERROR),
    (
        "FailedScheduling",
        "0/{nodes} nodes are available: {full} Insufficient cpu, {tainted} node(s) had untolerated taint",
    ),
)


def events(seed: int) -> Iterator[Object]:
    """Yields events without end.

    About 1.1 KB of JSON each, 800 B without managedFields.
    """
    cluster, rng = Cluster(seed), random.Random(f"{seed} events")
    for instance in cluster.instances():
        pod = PodEvents(rng, instance)
        if chance(rng, 0.55):
            yield from pod.startup()
        if chance(rng, 0.2):
            yield pod.repeated()
        if chance(rng, 0.12):
            yield from pod.shutdown()
        if chance(rng, 0.8):
            yield other_event(rng, instance, pod.time)


class PodEvents:
    """The events of one pod. `time` is that of the last one, in seconds since 1970."""

    def __init__(self, rng: random.Random, instance: Instance) -> None:
        self._rng, self._pod = rng, instance
        self.time = NOW - 60 - int(rng.random() * MAX_AGE)
        self._resource_version = resource_version_at(rng, self.time)

    def _event(self, component: str, reason: str, message: str, container: str = "", type_: str = "Normal") -> Object:
        pod = self._pod
        self.time += int(self._rng.random() * 3)
        involved = {"kind": "Pod", "namespace": pod.workload.namespace.name, "name": pod.name, "uid": pod.uid}
        involved |= {"apiVersion": "v1", "resourceVersion": self._resource_version}
        if container:
            involved["fieldPath"] = f"spec.containers{{{container}}}"
        host = pod.node.name if component == "kubelet" else ""
        return event(self._rng, involved, component, host, reason, message, type_, self.time)

    def startup(self) -> Iterator[Object]:
        """Yields the events from scheduling to the start of each container."""
        rng, pod = self._rng, self._pod
        namespace = pod.workload.namespace.name
        if pod.workload.kind != "Node":
            message = f"Successfully assigned {namespace}/{pod.name} to {pod.node.name}"
            yield self._event("default-scheduler", "Scheduled", message)
        for container in (*pod.workload.init_containers, *pod.workload.containers):
            name, image = container.spec["name"], container.image.name
            if chance(rng, 0.4):
                yield self._event("kubelet", "Pulling", f'Pulling image "{image}"', name)
                duration, size = f"{rng.random() * 9:.3f}s", between(rng, 10**6, 4 * 10**8)
                message = f'Successfully pulled image "{image}" in {duration} ({duration} including waiting).'
                yield self._event("kubelet", "Pulled", f"{message} Image size: {size} bytes.", name)
            else:
                message = f'Container image "{image}" already present on machine'
                yield self._event("kubelet", "Pulled", message, name)
            yield self._event("kubelet", "Created", f"Created container: {name}", name)
            yield self._event("kubelet", "Started", f"Started container {name}", name)

    def repeated(self) -> Object:
        """Returns a warning with a count."""
        rng, pod = self._rng, self._pod
        workload = pod.workload
        reason, message = pick(rng, _REPEATED)
        container, nodes = pick(rng, workload.containers), between(rng, 4, 300)
        text = message.format(
            ip=pod.address,
            port=pick(rng, (8080, 8080, 9090, 8443)),
            path=workload.chart.health_path,
            code=pick(rng, (500, 502, 503, 503, 404)),
            container=container.spec["name"],
            image=container.image.name,
            pod=pod.name,
            namespace=workload.namespace.name,
            uid=pod.uid,
            volume=f"{workload.name}-{pick(rng, ('config', 'env', 'scripts'))}",
            nodes=nodes,
            full=nodes - nodes // 3,
            tainted=nodes // 3,
        )
        component = "default-scheduler" if reason == "FailedScheduling" else "kubelet"
        in_container = container.spec["name"] if component == "kubelet" else ""
        found = self._event(component, reason, text, in_container, "Warning")
        found["count"] = int(2 / (rng.random() + 0.001))
        found["firstTimestamp"] = timestamp(self.time - between(rng, 60, 6 * 3600))
        return found

    def shutdown(self) -> Iterator[Object]:
        """Yields the stop of each container."""
        for container in self._pod.workload.containers:
            name = container.spec["name"]
            yield self._event("kubelet", "Killing", f"Stopping container {name}", name)


def other_event(rng: random.Random, instance: Instance, time: int) -> Object:
    """Returns an event of an object that is not a pod."""
    workload, node = instance.workload, instance.node
    name, namespace = workload.name, workload.namespace.name

    def involved(kind: str, api_version: str, name: str, object_uid: str) -> Object:
        about = {"kind": kind, "namespace": namespace, "name": name, "uid": object_uid, "apiVersion": api_version}
        return {**about, "resourceVersion": resource_version(rng)}

    match int(rng.random() * 10):
        case 0 | 1 | 2 if workload.kind == "Deployment":
            about = involved("ReplicaSet", "apps/v1", workload.revision_name, str(workload.owner["uid"]))
            message = f"Created pod: {instance.name}"
            return event(rng, about, "replicaset-controller", "", "SuccessfulCreate", message, "Normal", time)
        case 3 if workload.kind == "Deployment":
            about = involved("Deployment", "apps/v1", name, workload.uid)
            before, after = between(rng, 0, 3), between(rng, 4, 9)
            message = f"Scaled up replica set {workload.revision_name} from {before} to {after}"
            return event(rng, about, "deployment-controller", "", "ScalingReplicaSet", message, "Normal", time)
        case 4:
            about = {"kind": "Node", "name": node.name, "uid": node.name}
            conditions = ("NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID", "NodeReady")
            condition = pick(rng, conditions)
            message = f"Node {node.name} status is now: {condition}"
            found = event(rng, about, "kubelet", node.name, condition, message, "Normal", time)
            found["count"] = between(rng, 1, 9)
            return found
        case 5:
            holder = f"{instance.name}_{uid(rng)}"
            about = involved("Lease", "coordination.k8s.io/v1", f"{name}-leader", uid(rng))
            return event(rng, about, name, "", "LeaderElection", f"{holder} became leader", "Normal", time)
        case 6:
            about = involved("HorizontalPodAutoscaler", "autoscaling/v2", name, uid(rng))
            component, reason = "horizontal-pod-autoscaler", "FailedGetResourceMetric"
            message = (
                "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from API"
            )
            found = event(rng, about, component, "", reason, message, "Warning", time)
            found["count"] = between(rng, 2, 4000)
            return found
        case 7:
            about = involved("CronJob", "batch/v1", name, workload.uid)
            job = f"{name}-{time // 60}"
            message = pick(rng, (f"Created job {job}", f"Saw completed job: {job}, condition: Complete"))
            reason = "SuccessfulCreate" if message.startswith("Created") else "SawCompletedJob"
            return event(rng, about, "cronjob-controller", "", reason, message, "Normal", time)
        case _:
            about = involved("Application", "gitops.example.net/v1", name, workload.uid)
            return _series_event(rng, about, time)


def _series_event(rng: random.Random, about: Object, time: int) -> Object:
    """Returns an event in the form of events.k8s.io: with a series instead of a count."""
    status = pick(rng, ("Synced", "OutOfSync", "Progressing", "Healthy", "Degraded"))
    revision, product = f"{rng.getrandbits(160):040x}", pick(rng, words.PRODUCTS)
    message = f"Updated sync status of {product} to {status} at {revision}"
    found = event(rng, about, "gitops-controller", "", "ResourceUpdated", message, "Normal", time)
    found["source"], found["firstTimestamp"], found["lastTimestamp"] = {}, None, None
    del found["count"]
    found |= {"eventTime": micro_timestamp(time, between(rng, 0, 999_999)), "action": "Sync"}
    series_count, observed = between(rng, 2, 90), micro_timestamp(time + 60, between(rng, 0, 999_999))
    found["series"] = {"count": series_count, "lastObservedTime": observed}
    found["metadata"]["managedFields"][0]["fieldsV1"] = _fields(found)
    return found


def _fields(found: Object) -> Object:
    fields = {f"f:{name}": Object() for name, value in found.items() if value and name != "metadata"}
    if found["source"]:
        fields["f:source"] = {f"f:{name}": {} for name in found["source"]}
    return dict(sorted(fields.items()))


def event(
    rng: random.Random, involved: Object, component: str, host: str, reason: str, message: str, type_: str, time: int
) -> Object:
    """Returns an event that a component recorded about an object at a time."""
    name = f"{involved['name']}.{(time * 10**9 + int(rng.random() * 10**9)):016x}"
    metadata: Object = {"name": name, "namespace": involved.get("namespace", "default"), "uid": uid(rng)}
    metadata |= {"resourceVersion": resource_version_at(rng, time), "creationTimestamp": timestamp(time)}
    found: Object = {
        "metadata": metadata,
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "source": {"component": component, "host": host} if host else {"component": component},
        "firstTimestamp": timestamp(time),
        "lastTimestamp": timestamp(time),
        "count": 1,
        "type": type_,
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": host,
    }
    manager = "kubelet" if host else component
    metadata["managedFields"] = [entry(manager, timestamp(time), _fields(found))]
    return found
