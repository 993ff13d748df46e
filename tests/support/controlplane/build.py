"""Where kube-apiserver and etcd come from: a folder that is given, or one built once into a cache.

The versions stand in go.mod beside this file; go.sum pins every byte of what is compiled. Never touches
the network itself (the Go client does), and never leaves a half-built folder behind: a build goes to a
folder of its own and is renamed when it is whole.
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


class Unavailable(Exception):
    """There are no servers to test against; the text says why, in a line or a few."""


def versions() -> dict[str, str]:
    """Gives the versions that go.mod asks for: {"kube-apiserver": "v1.36.3", "etcd": "v3.6.8"}."""
    module = (HERE / "go.mod").read_text()
    paths = {"kube-apiserver": "k8s.io/kubernetes", "etcd": "go.etcd.io/etcd/server/v3"}
    found = {}
    for name, path in paths.items():
        match = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", module, re.MULTILINE)
        if match is None:
            raise Unavailable(f"{HERE / 'go.mod'} requires no {path}")
        found[name] = match[1]
    return found


def cache() -> Path:
    """Gives the folder that the build of these versions belongs in, whether it is there or not."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    pins = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()[:12]
    label = "-".join(f"{name}-{version}" for name, version in versions().items())
    return root / "kinform" / "controlplane" / f"{label}-{pins}"


def complete(folder: Path) -> bool:
    """Tells whether a folder holds both servers, ready to run."""
    return all(os.access(folder / name, os.X_OK) for name in NAMES)


def find() -> Path | None:
    """Gives the folder with both servers, or None where they have yet to be built.

    `KUBEBUILDER_ASSETS` comes first: that is how envtest is told, and how any other version can be tested.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given and complete(Path(given)):
        return Path(given)
    return folder if complete(folder := cache()) else None


def ensure(say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)) -> Path:
    """Gives the folder with both servers, building it if need be: minutes the first time, then at once.

    Of several runs at the same time one builds and the others wait for it.

    Args:
        say: Gets a line where this will take long.

    Raises:
        Unavailable: There is no Go, or the build failed.
    """
    if (found := find()) is not None:
        return found
    go = shutil.which("go")
    if go is None:
        raise Unavailable("no `go` on the PATH to build it with, and KUBEBUILDER_ASSETS names no folder")
    folder = cache()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f"{folder.name}.lock").open("w")
    except OSError as error:
        raise Unavailable(f"their cache folder cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that is building kube-apiserver and etcd")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if complete(folder):
            return folder
        for abandoned in folder.parent.glob(f"{folder.name}.*/"):
            shutil.rmtree(abandoned, ignore_errors=True)
        say(f"building kube-apiserver and etcd into {folder}: once, about four minutes on two cores")
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
    polite = ["nice"] if shutil.which("nice") else []
    for name, package in packages.items():
        options = ["-mod=readonly", "-trimpath", "-ldflags", flags, "-o", str(folder / name)]
        done = subprocess.run(
            [*polite, go, "build", *options, package],
            cwd=HERE,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            tail = "\n".join(done.stdout.strip().splitlines()[-5:])
            raise Unavailable(f"the build of {name} failed:\n{tail}")
