"""Memory that single parts of kinform add to a process."""

from __future__ import annotations

import pytest

from benchmarks.parts import PARTS
from benchmarks.parts.agent import PODS, measure_agent
from benchmarks.report.targets import PART_BYTES
from tests.memory.follower import MIB

AGENTS = ("log agent", "log agent, TLS")


@pytest.mark.parametrize("part", [name for name in PARTS if name not in AGENTS])
def test_a_part_of_kinform_takes_little(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    (what, bound), (_, measure) = PART_BYTES[part], PARTS[part]
    more = measure()
    with capsys.disabled():
        print(f"\nmemory that {what}: {more / MIB:.2f} MiB")
    assert more <= bound


@pytest.mark.parametrize("tls", [False, True])
async def test_a_log_agent_holds_only_the_labels_it_reads(tls: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The target is 1 MiB; two equal processes differ by a part of one."""
    agent = await measure_agent(tls=tls)
    with capsys.disabled():
        print(
            f"\na log agent with {PODS} pods{' over TLS' if tls else ''}: {agent.more / MIB:.2f} MiB above idle, "
            f"a changed label after {agent.delay * 1e3:.0f} ms, {sum(agent.requests.values())} requests"
        )
    assert agent.requests == {"v1/pods": 1, "v1/namespaces": 1}  # also after the changes
    assert agent.more <= 1.25 * MIB


def test_each_part_has_a_target() -> None:
    assert list(PART_BYTES) == list(PARTS)
