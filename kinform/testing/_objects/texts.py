"""Long texts: certificates, settings, scripts, alerting rules and dashboards.

Composed from the vocabularies. Like real ones they repeat their own structure; only certificates are random bytes.
"""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from kinform.testing._objects import words
from kinform.testing._objects.random_values import between, chance, pick, sample


def random_bytes(rng: random.Random, size: int) -> bytes:
    """Returns bytes that cannot be compressed."""
    return rng.getrandbits(8 * size).to_bytes(size, "big")


def certificate(rng: random.Random, size: int) -> str:
    """Returns a certificate as PEM: a common header, then random bytes."""
    head = b"\x30\x82\x03\x82\x30\x82\x02\x6a\xa0\x03\x02\x01\x02\x02\x08" + random_bytes(rng, 8)
    head += b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00\x30\x15\x31\x13\x30\x11\x06\x03\x55\x04\x03"
    text = base64.b64encode(head + random_bytes(rng, size - len(head))).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def bundle(rng: random.Random, count: int) -> str:
    """Returns certificates of authorities, each below a comment with its name."""
    certificates = []
    for _ in range(count):
        authority = f"{pick(rng, words.TEAMS)} {pick(rng, words.NOUNS)} root"
        authority = f"{authority} {pick(rng, ('CA', 'R1', 'G2', 'E46'))}".title()
        certificates.append(f"# {authority}\n{certificate(rng, between(rng, 480, 1500))}")
    return "\n".join(certificates)


def setting(rng: random.Random, kind: str, product: str, namespace: str) -> str:
    """Returns a value for a setting of this kind (see `words.SETTING_KINDS`)."""
    match kind:
        case "URL" | "ENDPOINT":
            other, role = pick(rng, words.PRODUCTS), pick(rng, words.ROLES)
            port, version = pick(rng, (80, 8080, 8080, 8443, 9000, 3000)), pick(rng, ("", "", "/v1", "/api/v2"))
            target = namespace if chance(rng, 0.6) else f"{other}-prod"
            return f"http://{other}-{role}.{target}.svc.cluster.local:{port}{version}"
        case "HOST":
            return f"{pick(rng, words.PRODUCTS)}-{pick(rng, ('postgres', 'redis', 'kafka', 'rabbit'))}.{namespace}.svc"
        case "DSN":
            name = product.replace("-", "_")
            return f"postgres://{name}@{product}-postgres-rw.{namespace}.svc:5432/{name}?sslmode=verify-full"
        case "PORT":
            return str(pick(rng, (8080, 9090, 5432, 6379, 9092, 8443, 50051)))
        case "ENABLED":
            return pick(rng, ("true", "false"))
        case "TIMEOUT" | "INTERVAL":
            return pick(rng, ("500ms", "2s", "5s", "10s", "15s", "30s", "1m", "5m", "1h"))
        case "TOPIC":
            return f"{pick(rng, words.PRODUCTS)}.{pick(rng, words.NOUNS)}.v{between(rng, 1, 4)}"
        case "BUCKET":
            return f"{pick(rng, words.TEAMS)}-{product}-{pick(rng, words.NOUNS)}-eu"
        case "GROUP_ID" | "NAME" | "PREFIX":
            return f"{product}-{pick(rng, words.ROLES)}"
        case "PATH" | "CREDENTIALS_FILE":
            return f"/{pick(rng, ('etc', 'var/lib', 'var/run', 'opt', 'mnt'))}/{product}/{pick(rng, words.NOUNS)}"
        case "CRON":
            return f"{between(rng, 0, 59)} {between(rng, 0, 23)} * * {pick(rng, '*****1250')}"
        case "REGION":
            return pick(rng, ("eu-central-1", "eu-central-1", "eu-west-1"))
        case "LEVEL" | "MODE" | "FORMAT":
            return pick(rng, ("info", "debug", "warn", "json", "strict", "lenient", "async"))
        case "ALLOWED_ORIGINS":
            return ",".join(f"https://{pick(rng, words.PRODUCTS)}.example.com" for _ in range(between(rng, 1, 4)))
    return str(
        pick(rng, (1, 2, 3, 5, 8, 10, 16, 20, 25, 50, 64, 100, 128, 200, 250, 500, 1000, 1024, 2048, 3600, 5000))
    )


def properties(rng: random.Random, product: str, namespace: str, line_count: int) -> str:
    """Returns lines of `a.b.c=value`, and comments."""
    lines = []
    for _ in range(line_count):
        if chance(rng, 0.08):
            lines.append(f"\n# {pick(rng, words.VERBS)} {pick(rng, words.NOUNS)} of {pick(rng, words.PRODUCTS)}")
        kind = pick(rng, words.SETTING_KINDS)
        name = f"{product}.{pick(rng, words.SETTING_SUBJECTS)}.{pick(rng, words.VERBS)}.{kind}"
        lines.append(f"{name.lower().replace('_', '-')}={setting(rng, kind, product, namespace)}")
    return "\n".join(lines) + "\n"


def settings(rng: random.Random, product: str, namespace: str, line_count: int) -> str:
    """Returns nested YAML."""
    lines, left = [f"# Settings of {product}, rendered by its chart; do not edit."], line_count
    while left > 0:
        lines.append(f"{pick(rng, words.SETTING_SUBJECTS).lower()}:")
        for _ in range(between(rng, 1, 4)):
            lines.append(f"  {pick(rng, words.VERBS)}:")
            for _ in range(between(rng, 1, 5)):
                kind = pick(rng, words.SETTING_KINDS)
                name = f"{pick(rng, words.NOUNS)}-{kind}".lower().replace("_", "-")
                lines.append(f"    {name}: {json.dumps(setting(rng, kind, product, namespace))}")
                left -= 1
    return "\n".join(lines) + "\n"


def script(rng: random.Random, product: str, namespace: str, line_count: int) -> str:
    """Returns a shell script."""
    lines = ["#!/usr/bin/env bash", "set -euo pipefail", "", f"readonly PLACE={namespace}", ""]
    for _ in range(max(line_count // 9, 1)):
        verb, noun, kind = pick(rng, words.VERBS), pick(rng, words.NOUNS), pick(rng, words.SETTING_KINDS)
        lines += [f"{verb}_{noun}() {{", f'  local {noun}="${{1:?which {noun}}}"']
        lines.append(f'  echo "$(date -u +%FT%TZ) {verb} ${{{noun}}} in ${{PLACE}}" >&2')
        for _ in range(between(rng, 1, 4)):
            flag, seconds = pick(rng, words.FLAGS), pick(rng, (5, 10, 30))
            to = pick(rng, (f"/tmp/{noun}.json", f"/var/run/{product}/{noun}", "/dev/null"))
            lines.append(f'  curl -fsS --max-time {seconds} "${{{kind}}}/{noun}?{flag}=${{{noun}}}" > {to}')
        lines += [f'  [[ -s /tmp/{noun}.json ]] || {{ echo "no {noun}" >&2; return 1; }}', "}", ""]
    return "\n".join(lines)


def rules(rng: random.Random, product: str, namespace: str, count: int) -> str:
    """Returns Prometheus alerting rules."""
    lines = ["groups:", f"- name: {product}.rules", "  rules:"]
    for _ in range(count):
        metric, noun, team = pick(rng, words.METRICS), pick(rng, words.NOUNS), pick(rng, words.TEAMS)
        name = f"{product}-{pick(rng, words.VERBS)}-{noun}".title().replace("-", "")
        minutes, limit = pick(rng, (1, 2, 5, 10, 15, 30)), pick(rng, ("0", "0.01", "0.05", "0.5", "10", "100", "1e6"))
        rate = f'rate({product}_{metric}{{namespace="{namespace}"}}[{minutes}m])'
        lines += [
            f"  - alert: {name}",
            f"    expr: sum by (namespace, pod) ({rate}) > {limit}",
            f"    for: {pick(rng, (1, 5, 10, 15, 60))}m",
            f"    labels: {{severity: {pick(rng, ('critical', 'warning', 'info'))}, team: {team}}}",
            "    annotations:",
            f"      summary: {noun.title()} of {{{{ $labels.pod }}}} {pick(rng, words.VERBS)} too slowly",
            f"      runbook_url: https://runbooks.example.com/{team}/{name}",
        ]
    return "\n".join(lines) + "\n"


def dashboard(rng: random.Random, product: str, panel_count: int) -> str:
    """Returns a Grafana dashboard as indented JSON."""
    panels: list[dict[str, Any]] = []
    for number in range(panel_count):
        metric, unit = pick(rng, words.METRICS), pick(rng, ("short", "s", "bytes", "percentunit", "reqps"))
        targets = [
            {
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "expr": f'sum(rate({pick(rng, words.PRODUCTS)}_{metric}{{namespace="$namespace",job=~"{product}.*"}}'
                f"[$__rate_interval])) by ({pick(rng, ('pod', 'code', 'route', 'method', 'le', 'node'))})",
                "legendFormat": f"{{{{{pick(rng, ('pod', 'code', 'route', 'method', 'node'))}}}}}",
                "refId": "ABCDEFG"[index],
            }
            for index in range(between(rng, 1, 4))
        ]
        steps = [{"color": "green", "value": None}, {"color": "red", "value": between(rng, 1, 100)}]
        panels.append(
            {
                "fieldConfig": {
                    "defaults": {
                        "color": {"mode": pick(rng, ("palette-classic", "thresholds"))},
                        "custom": {"drawStyle": "line", "fillOpacity": between(rng, 0, 9) * 10, "lineWidth": 1},
                        "thresholds": {"mode": "absolute", "steps": steps},
                        "unit": unit,
                    },
                    "overrides": [],
                },
                "gridPos": {"h": pick(rng, (4, 7, 8)), "w": pick(rng, (6, 8, 12, 24)), "x": 0, "y": number * 8},
                "id": number + 1,
                "targets": targets,
                "title": f"{pick(rng, words.VERBS)} {pick(rng, words.NOUNS)}".title(),
                "type": pick(rng, ("timeseries", "timeseries", "stat", "gauge", "table", "heatmap")),
            }
        )
    board = {"editable": True, "panels": panels, "schemaVersion": 39, "tags": sample(rng, words.TEAMS, 2)}
    return json.dumps(board | {"title": product.title(), "uid": f"{rng.getrandbits(48):x}"}, indent=2)
