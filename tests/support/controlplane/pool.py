"""The control planes of one test run, one for each set of flags."""

from __future__ import annotations

from pathlib import Path

from tests.support.controlplane.plane import ControlPlane


class ControlPlanePool:
    """Starts each control plane at its first use and keeps it until `close`.

    Args:
        binaries: The folder with `kube-apiserver` and `etcd`.
    """

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._running: dict[tuple[str, ...], ControlPlane] = {}

    async def get(self, *flags: str) -> ControlPlane:
        """Returns the control plane whose kube-apiserver has these additional flags.

        Takes about four seconds the first time. Tests share it: use it through `clusters.real_cluster`.
        """
        if flags not in self._running:
            control_plane = ControlPlane(self._binaries, flags)
            await control_plane.start()
            self._running[flags] = control_plane
        return self._running[flags]

    def close(self) -> None:
        """Kills all of them."""
        for control_plane in self._running.values():
            control_plane.close()
