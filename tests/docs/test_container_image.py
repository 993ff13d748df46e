"""The program of docs/howto/container-image.md without a compiler, until SIGTERM."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.docs.markdown import DOCS, ROOT, blocks
from tests.docs.running import SECONDS, simulator

PAGE = DOCS / "howto/container-image.md"
(AGENT,) = [block for block in blocks(PAGE) if block.text.startswith("# agent.py\n")]
(DOCKERFILE,) = [block for block in blocks(PAGE) if block.language == "dockerfile"]

LIBRARIES = """
import sys
def mapped():
    with open("/proc/self/maps") as lines:
        return {line.split("/")[-1].strip() for line in lines if ".so" in line and "python" not in line}
import asyncio, hashlib, msgspec, ssl, uuid, zlib  # what Python and msgspec load
before = mapped()
import kinform_ext._scan, kinform_ext._table
print(*sorted(mapped() - before))
"""


def test_the_agent_runs_without_a_compiler_and_stops(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "agent.py").write_text(AGENT.text)
    with simulator(tmp_path) as kubeconfig:
        environment = {"PATH": str(folder), "KUBECONFIG": kubeconfig, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(
            [sys.executable, "agent.py"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as agent:
            assert agent.stdout is not None
            try:
                assert agent.stdout.readline() == "20 pods\n"
                agent.terminate()
                assert agent.communicate(timeout=SECONDS) == ("stopped\n", "")
                assert agent.returncode == 0
            finally:
                agent.kill()


def test_the_page_names_each_library_that_is_loaded():
    found = subprocess.run([sys.executable, "-c", LIBRARIES], cwd=ROOT, capture_output=True, text=True, check=True)
    names = {re.sub(r"(\.so\.\d+).*", r"\1", name) for name in found.stdout.split()}
    assert names, "libzstd is a library of the system"
    assert names == set(re.findall(r"`(lib\w+\.so\.\d+)`", PAGE.read_text()))


def test_only_the_first_stage_has_a_compiler():
    _, build, run = re.split(r"^FROM ", DOCKERFILE.text, flags=re.MULTILINE)
    assert "apt-get install" in build
    assert "apt-get" not in run
    assert re.findall(r"^COPY (\S+)", run, re.MULTILINE) == ["agent.py"]
    assert build.split()[0] == run.split()[0].removesuffix("-slim")
