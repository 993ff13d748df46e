"""Which cluster a transport leads to, as far as it can be told.

Asks once; never retries, never raises for what the server or the network does.
Source: the uid of the namespace `kube-system`, which Kubernetes' own tools know a cluster by.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import msgspec

from kinform._errors import KinformError
from kinform._transport.base import Request, Transport

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 1 << 20
UNKNOWN = "unknown"


class _Metadata(msgspec.Struct):
    uid: str


class _Namespace(msgspec.Struct):
    metadata: _Metadata


async def cluster_uid(transport: Transport) -> str:
    """The uid of `kube-system`; `""` where it may not be read, or no answer came in five seconds."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await transport.open(Request(path="/api/v1/namespaces/kube-system", params=()))
            try:
                if answer.status != 200:
                    return ""
                return msgspec.json.decode(await answer.head(ANSWER_BYTES), type=_Namespace).metadata.uid
            finally:
                answer.close()
    except Exception:  # whatever it was, the streams will say
        return ""


def cluster_place(transport: Transport) -> str:
    """A digest of the server's URL and the CA it is trusted by; `"unknown"` where the transport does not tell."""
    try:
        client = getattr(transport, "api_client", None)
    except KinformError:  # not open
        return UNKNOWN
    configuration = getattr(client, "configuration", None)
    host, ca = getattr(configuration, "host", None), getattr(configuration, "ssl_ca_cert", None)
    if not isinstance(host, str):
        return UNKNOWN
    digest = hashlib.blake2b(host.rstrip("/").encode(), digest_size=16)
    if isinstance(ca, str):
        try:
            digest.update(b"\0" + Path(ca).read_bytes())
        except OSError:
            return UNKNOWN
    return digest.hexdigest()
