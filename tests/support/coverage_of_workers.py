"""A plugin of pytest: measures coverage in the workers of pytest-xdist.

`coverage run` measures only the process that it starts. A worker imports this plugin before the tests and before
kinform. Programs that tests start are not measured.
"""

from __future__ import annotations

import os

import coverage

RUN = os.environ.get("PYTEST_XDIST_WORKER") and coverage.Coverage(
    config_file=os.environ["COVERAGE_RCFILE"], data_file=os.environ["COVERAGE_FILE"]
)
if RUN:
    RUN.start()


def pytest_sessionfinish() -> None:
    """Writes what was measured, into a file of this process.

    Not later: the main process may kill a worker that has finished.
    """
    if RUN:
        RUN.stop()
        RUN.save()
