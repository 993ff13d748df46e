"""The identity of the cluster that a transport reaches, as far as it is known.

Sends at most one request. Never retries, and never raises for an error of the server or the network.
Source: the uid of the namespace `kube-system`, by which Kubernetes' own tools identify a cluster.
"""

from __future__ import annotations

import asyncio
import hashlib

import msgspec

from kinform._errors import KinformError
from kinform._transport.base import Request, Transport

TIMEOUT_SECONDS = 5.0
MAX_BODY_BYTES = 1 << 20
UNKNOWN = "unknown"


class _Uid(msgspec.Struct):
    uid: str


class _Namespace(msgspec.Struct):
    metadata: _Uid


async def cluster_uid(transport: Transport) -> str:
    """Returns the uid of `kube-system`.

    Returns `""` if it may not be read, or no response came in five seconds.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            response = await transport.open(Request(path="/api/v1/namespaces/kube-system", params=()))
            try:
                if response.status != 200:
                    return ""
                return msgspec.json.decode(await response.head(MAX_BODY_BYTES), type=_Namespace).metadata.uid
            finally:
                response.close()
    except Exception:  # the list-watch streams meet the same error and report it
        return ""


def server_digest(transport: Transport) -> str:
    """Returns a digest of the server's URL and the CA to trust.

    Returns `"unknown"` if the transport does not say them, or the CA cannot be read.
    """
    read = getattr(transport, "_server_and_ca", None)  # a class of the caller has none
    if read is None:
        return UNKNOWN
    try:
        server, ca = read()
    except (KinformError, OSError):  # the connection is not open, or there is no such file
        return UNKNOWN
    digest = hashlib.blake2b(server.rstrip("/").encode(), digest_size=16)
    digest.update(b"" if ca is None else b"\0" + ca)
    return digest.hexdigest()
