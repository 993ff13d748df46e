"""The blocking form of a connection: `connect`, and `Connection`.

Everything happens in the connection of kinform's event loop, which this one wraps.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Self

import kinform
from kinform import OptionError, Transport
from kinform._printable import type_of
from kinform._transport.credentials import CredentialSource, find_source
from kinform.sync._lifetime import Lifetime
from kinform.sync._verbs import Verbs

if TYPE_CHECKING:
    from kinform._transport.client_configuration import ClientConfiguration


def connect(
    target: str | os.PathLike[str] | None = None,
    *,
    context: str | None = None,
    token: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    verify: bool = True,
    configuration: ClientConfiguration | None = None,
) -> Connection:
    """Returns a connection to a cluster, to be entered with `with`.

    See `kinform.connect`.

    Args:
        target: The path of a kubeconfig, or a URL. None: kinform looks for a cluster.
        context: The context in the kubeconfig. None: its `current-context`.
        token: A bearer token, for a URL only.
        ca: A file with PEM certificates to trust, for an `https://` URL only.
        verify: False accepts any certificate. For an `https://` URL only.
        configuration: A `kubernetes.client.Configuration`, which has everything: the server, certificates, credentials
            and the proxy. kinform reads its `api_key` before each request. If it has a `refresh_api_key_hook`, kinform
            calls the hook in a thread, at most once a minute and after a 401.

    Raises:
        OptionError: An argument is not valid, or does not apply to this target; there are a configuration and another
            argument; the configuration has a setting that kinform does not support; or no cluster was found.
    """
    if configuration is None:
        return Connection(find_source(target, context=context, token=token, ca=ca, verify=verify))
    if (target, context, token, ca, verify) != (None, None, None, None, True):
        raise OptionError("connect.configuration", type_of(configuration), "None, or no other argument")
    # Imported here: most programs have no such configuration.
    from kinform._transport.client_configuration import ClientConfigurationSource

    return Connection(ClientConfigurationSource(configuration))


class Connection(Verbs):
    """A connection to one cluster as one user, made by `connect`.

    The connection is open only inside its `with` block, and can be entered only once. All threads can use it. See
    `kinform.Connection`.
    """

    def __init__(self, source: CredentialSource) -> None:
        connection = kinform.Connection(source)
        super().__init__(connection, Lifetime(str(source), connection))

    def __repr__(self) -> str:
        return repr(self._connection).replace("<kinform.", "<kinform.sync.")

    def __enter__(self) -> Self:
        self._lifetime.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lifetime.exit(error)

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context, or of the pod; otherwise `"default"`.

        See `kinform.Connection.namespace`.
        """
        return self._lifetime.run(lambda: self._connection.namespace)

    def refresh_credentials(self) -> bool:
        """Reads the credentials again, only once for all concurrent callers.

        See `kinform.Connection.refresh_credentials`.
        """
        return self._lifetime.call(self._connection.refresh_credentials)


def as_transport(api: Connection | Transport) -> Transport:
    """Returns the transport for the event loop.

    Raises:
        OptionError: `api` is neither a connection of kinform.sync nor a transport that can be used in its event loop.
    """
    if isinstance(api, Connection):
        return api._connection
    if isinstance(api, Transport) and not isinstance(api, type | kinform.Connection):
        return api
    raise OptionError("api", api, "a connection from kinform.sync.connect(), or a kinform.Transport")
