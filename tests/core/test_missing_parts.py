"""Parts that are not installed: the error says how to get them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import kinform

ROOT = Path(kinform.__file__).parents[1]


def last_line(program: str, folder: Path) -> str:
    """Runs a program that fails in a folder, and returns the last line of its stderr."""
    ended = subprocess.run([sys.executable, "-c", program], cwd=folder, env={}, capture_output=True, text=True)
    assert ended.returncode == 1
    return ended.stderr.splitlines()[-1]


def test_a_missing_extra_for_metrics_is_named():
    program = "import sys; sys.modules['prometheus_client'] = None; import kinform.prometheus"
    assert last_line(program, ROOT) == (
        "ModuleNotFoundError: kinform.prometheus needs prometheus_client, of the extra kinform[metrics]:"
        " python -m pip install prometheus_client"
    )


def test_a_clone_without_a_build_says_how_to_build(tmp_path):
    for package in ("kinform", "kinform_ext"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    assert last_line("import kinform", tmp_path) == (
        f"ModuleNotFoundError: the compiled modules of kinform are not built in {tmp_path}/kinform_ext: for a clone,"
        " `python -m pip install -e .` builds them; to use a kinform that is installed, start Python in another folder"
    )
