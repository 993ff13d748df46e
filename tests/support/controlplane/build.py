"""Finds kube-apiserver and etcd, or builds them once into a cache.

The versions are in `go.mod` in this folder; `go.sum` pins every byte of the sources. Only the Go client
uses the network. Never leaves a half-built folder: a build goes to a temporary folder and is renamed when
it is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("kube-apiserver", "etcd")


class ControlPlaneUnavailable(Exception):
    """The servers are missing; the text says why, in one or a few lines."""


def versions() -> dict[str, str]:
    """Returns the versions in go.mod: `{"kube-apiserver": "v1.36.3", ...}`."""
    module = (HERE / "go.mod").read_text()
    paths = {"kube-apiserver": "k8s.io/kubernetes", "etcd": "go.etcd.io/etcd/server/v3"}
    found = {}
    for name, path in paths.items():
        match = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", module, re.MULTILINE)
        if match is None:
            raise ControlPlaneUnavailable(f"{HERE / 'go.mod'} does not require {path}")
        found[name] = match[1]
    return found


def cache_folder() -> Path:
    """Returns the folder for the build of these versions, which may not exist."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    pins = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()[:12]
    label = "-".join(f"{name}-{version}" for name, version in versions().items())
    return root / "kinform" / "controlplane" / f"{label}-{pins}"


def has_binaries(folder: Path) -> bool:
    """Returns whether a folder contains both servers as executables."""
    return all(os.access(folder / name, os.X_OK) for name in NAMES)


def find() -> Path | None:
    """Returns the folder with both servers, or None if they must be built first.

    `$KUBEBUILDER_ASSETS` comes first, as in envtest: it selects any other version to test.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given and has_binaries(Path(given)):
        return Path(given)
    return folder if has_binaries(folder := cache_folder()) else None


def find_or_build(report: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)) -> Path:
    """Returns the folder with both servers; builds them if they are missing.

    A build takes minutes. If several runs start at once, one builds and the others wait for it.

    Args:
        report: Called with a line before a long wait.

    Raises:
        ControlPlaneUnavailable: Go is missing, or the build failed.
    """
    if (found := find()) is not None:
        return found
    go = shutil.which("go")
    if go is None:
        raise ControlPlaneUnavailable(
            "`go` is not on the PATH, and $KUBEBUILDER_ASSETS is not a folder with both servers"
        )
    folder = cache_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f"{folder.name}.lock").open("w")
    except OSError as error:
        raise ControlPlaneUnavailable(f"the cache folder cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another run that builds kube-apiserver and etcd")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if has_binaries(folder):
            return folder
        for abandoned in folder.parent.glob(f"{folder.name}.*/"):
            shutil.rmtree(abandoned, ignore_errors=True)
        report(f"building kube-apiserver and etcd into {folder}: once, about four minutes on two cores")
        fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            _build(go, fresh)
            fresh.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _build(go: str, folder: Path) -> None:
    version = versions()["kube-apiserver"]
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamp = "k8s.io/component-base/version.git"
    flags = f"-s -w -X {stamp}Version={version} -X {stamp}Major={major} -X {stamp}Minor={minor}"
    packages = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}
    nice = ["nice"] if shutil.which("nice") else []
    for name, package in packages.items():
        options = ["-mod=readonly", "-trimpath", "-ldflags", flags, "-o", str(folder / name)]
        finished = subprocess.run(
            [*nice, go, "build", *options, package],
            cwd=HERE,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if finished.returncode != 0:
            tail = "\n".join(finished.stdout.strip().splitlines()[-5:])
            raise ControlPlaneUnavailable(f"the build of {name} failed:\n{tail}")
