"""The audit log of a real kube-apiserver: what it has answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: RequestResponse, verbs: [create, update], resources: [{group: "", resources: [configmaps]}]}
  - {level: RequestResponse, resources: [{group: coordination.k8s.io, resources: [leases]}]}
  - {level: None}
"""


def audit_flags(folder: Path) -> tuple[str, str]:
    """Returns the flags of a kube-apiserver that writes its audit log into a folder."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    return f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'log'}"


def audit_events(folder: Path, namespace: str) -> list[dict[str, Any]]:
    """Returns what the server has answered in a namespace."""
    events = [msgspec.json.decode(line) for line in (folder / "log").read_bytes().splitlines()]
    return [event for event in events if event["objectRef"].get("namespace") == namespace]


def written_config_maps(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the answer to each successful update of a ConfigMap, in their order."""
    written = [
        event["responseObject"]
        for event in events
        if event["objectRef"]["resource"] == "configmaps"
        and event["verb"] == "update"
        and event["responseStatus"]["code"] == 200
    ]
    return sorted(written, key=lambda each: int(each["metadata"]["resourceVersion"]))
