"""Long texts as config maps and annotations hold them: certificates, settings, scripts, rules, dashboards.

Made up from the vocabularies. Like real ones they repeat their own structure, and only certificates are noise.
"""

from __future__ import annotations

import base64
import json
import random
from typing import Any

from kinform.testing._objects import words
from kinform.testing._objects.random_values import between, chance, pick, some


def noise(rng: random.Random, size: int) -> bytes:
    """So many bytes that nothing can be known of."""
    return rng.getrandbits(8 * size).to_bytes(size, "big")


def certificate(rng: random.Random, size: int) -> str:
    """PEM. What all certificates begin and go on with is the same; keys and signatures are not."""
    head = b"\x30\x82\x03\x82\x30\x82\x02\x6a\xa0\x03\x02\x01\x02\x02\x08" + noise(rng, 8)
    head += b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00\x30\x15\x31\x13\x30\x11\x06\x03\x55\x04\x03"
    text = base64.b64encode(head + noise(rng, size - len(head))).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def bundle(rng: random.Random, count: int) -> str:
    """Certificates of authorities, each with a comment of whose it is."""
    found = []
    for _ in range(count):
        who = f"{pick(rng, words.TEAMS)} {pick(rng, words.NOUNS)} root {pick(rng, ('CA', 'R1', 'G2', 'E46'))}".title()
        found.append(f"# {who}\n{certificate(rng, between(rng, 480, 1500))}")
    return "\n".join(found)


def value(rng: random.Random, kind: str, product: str, place: str) -> str:
    """What a setting of such a kind is set to."""
    match kind:
        case "URL" | "ENDPOINT":
            other, role = pick(rng, words.PRODUCTS), pick(rng, words.ROLES)
            port, version = pick(rng, (80, 8080, 8080, 8443, 9000, 3000)), pick(rng, ("", "", "/v1", "/api/v2"))
            where = place if chance(rng, 0.6) else f"{other}-prod"
            return f"http://{other}-{role}.{where}.svc.cluster.local:{port}{version}"
        case "HOST":
            return f"{pick(rng, words.PRODUCTS)}-{pick(rng, ('postgres', 'redis', 'kafka', 'rabbit'))}.{place}.svc"
        case "DSN":
            name = product.replace("-", "_")
            return f"postgres://{name}@{product}-postgres-rw.{place}.svc:5432/{name}?sslmode=verify-full"
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


def properties(rng: random.Random, product: str, place: str, lines: int) -> str:
    """`a.b.c=value` and comments."""
    found = []
    for _ in range(lines):
        if chance(rng, 0.08):
            found.append(f"\n# {pick(rng, words.VERBS)} {pick(rng, words.NOUNS)} of {pick(rng, words.PRODUCTS)}")
        kind = pick(rng, words.KINDS_OF_SETTINGS)
        name = f"{product}.{pick(rng, words.SUBJECTS)}.{pick(rng, words.VERBS)}.{kind}".lower().replace("_", "-")
        found.append(f"{name}={value(rng, kind, product, place)}")
    return "\n".join(found) + "\n"


def settings(rng: random.Random, product: str, place: str, lines: int) -> str:
    """YAML with some depth."""
    found, left = [f"# Settings of {product}, rendered by its chart; do not edit."], lines
    while left > 0:
        found.append(f"{pick(rng, words.SUBJECTS).lower()}:")
        for _ in range(between(rng, 1, 4)):
            found.append(f"  {pick(rng, words.VERBS)}:")
            for _ in range(between(rng, 1, 5)):
                kind = pick(rng, words.KINDS_OF_SETTINGS)
                name = f"{pick(rng, words.NOUNS)}-{kind}".lower().replace("_", "-")
                found.append(f"    {name}: {json.dumps(value(rng, kind, product, place))}")
                left -= 1
    return "\n".join(found) + "\n"


def script(rng: random.Random, product: str, place: str, lines: int) -> str:
    """A shell script."""
    found = ["#!/usr/bin/env bash", "set -euo pipefail", "", f"readonly PLACE={place}", ""]
    for _ in range(max(lines // 9, 1)):
        verb, noun, kind = pick(rng, words.VERBS), pick(rng, words.NOUNS), pick(rng, words.KINDS_OF_SETTINGS)
        found += [f"{verb}_{noun}() {{", f'  local {noun}="${{1:?which {noun}}}"']
        found.append(f'  echo "$(date -u +%FT%TZ) {verb} ${{{noun}}} in ${{PLACE}}" >&2')
        for _ in range(between(rng, 1, 4)):
            flag, seconds = pick(rng, words.FLAGS), pick(rng, (5, 10, 30))
            to = pick(rng, (f"/tmp/{noun}.json", f"/var/run/{product}/{noun}", "/dev/null"))
            found.append(f'  curl -fsS --max-time {seconds} "${{{kind}}}/{noun}?{flag}=${{{noun}}}" > {to}')
        found += [f'  [[ -s /tmp/{noun}.json ]] || {{ echo "no {noun}" >&2; return 1; }}', "}", ""]
    return "\n".join(found)


def rules(rng: random.Random, product: str, place: str, count: int) -> str:
    """Alerts."""
    found = ["groups:", f"- name: {product}.rules", "  rules:"]
    for _ in range(count):
        measure, noun, team = pick(rng, words.MEASURES), pick(rng, words.NOUNS), pick(rng, words.TEAMS)
        name = f"{product}-{pick(rng, words.VERBS)}-{noun}".title().replace("-", "")
        minutes, limit = pick(rng, (1, 2, 5, 10, 15, 30)), pick(rng, ("0", "0.01", "0.05", "0.5", "10", "100", "1e6"))
        rate = f'rate({product}_{measure}{{namespace="{place}"}}[{minutes}m])'
        found += [
            f"  - alert: {name}",
            f"    expr: sum by (namespace, pod) ({rate}) > {limit}",
            f"    for: {pick(rng, (1, 5, 10, 15, 60))}m",
            f"    labels: {{severity: {pick(rng, ('critical', 'warning', 'info'))}, team: {team}}}",
            "    annotations:",
            f"      summary: {noun.title()} of {{{{ $labels.pod }}}} {pick(rng, words.VERBS)} too slowly",
            f"      runbook_url: https://runbooks.example.com/{team}/{name}",
        ]
    return "\n".join(found) + "\n"


def dashboard(rng: random.Random, product: str, panels: int) -> str:
    """A dashboard's JSON, indented as such tools export it."""
    found: list[dict[str, Any]] = []
    for number in range(panels):
        measure, unit = pick(rng, words.MEASURES), pick(rng, ("short", "s", "bytes", "percentunit", "reqps"))
        targets = [
            {
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "expr": f'sum(rate({pick(rng, words.PRODUCTS)}_{measure}{{namespace="$namespace",job=~"{product}.*"}}'
                f"[$__rate_interval])) by ({pick(rng, ('pod', 'code', 'route', 'method', 'le', 'node'))})",
                "legendFormat": f"{{{{{pick(rng, ('pod', 'code', 'route', 'method', 'node'))}}}}}",
                "refId": "ABCDEFG"[each],
            }
            for each in range(between(rng, 1, 4))
        ]
        steps = [{"color": "green", "value": None}, {"color": "red", "value": between(rng, 1, 100)}]
        found.append(
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
    board = {"editable": True, "panels": found, "schemaVersion": 39, "tags": some(rng, words.TEAMS, 2)}
    return json.dumps(board | {"title": product.title(), "uid": f"{rng.getrandbits(48):x}"}, indent=2)
