"""Memory of each of many small informers."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.harness.process import Process, python
from benchmarks.harness.waiting import wait_until_idle
from tests.memory.conftest import SERVER
from tests.memory.follower import MIB, TRIMMED_SECONDS
from tests.support.tls import CERTIFICATES

OBJECTS = 200
MANY = 50
SUBJECT = python("benchmarks/store/many.py")


@pytest.mark.parametrize(("tls", "most"), [(False, 0.22), (True, 0.28)])
def test_each_of_many_small_informers_takes_little(tls: bool, most: float, capsys: pytest.CaptureFixture[str]) -> None:
    """The limit over TLS is below the 0.5 MiB of asyncio and OpenSSL by default."""
    ca = str(CERTIFICATES / "ca.pem") if tls else None
    served: dict[str, Any] = {
        "resource": "services",
        "objects": OBJECTS,
        "seed": 0,
        "corpus": None,
        "tls": tls,
    }
    with Process(SERVER, **served) as server:
        about = server.do("open")
        held = []
        for resource, informers in (("v1/nothings", 1), (about["resource"], MANY)):
            with Process(SUBJECT, url=about["url"], resource=resource, ca=ca, informers=informers) as process:
                assert process.do("objects") == (OBJECTS * MANY if informers == MANY else 0)
                wait_until_idle(process.gauge, 30.0, idle_seconds=TRIMMED_SECONDS)
                held.append(process.gauge.rss())
    each = (held[1] - held[0]) / MANY / MIB
    with capsys.disabled():
        print(f"\n{MANY} informers of {OBJECTS} services{' over TLS' if tls else ''}: {each:.3f} MiB each")
    assert each <= most
