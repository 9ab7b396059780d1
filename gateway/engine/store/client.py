"""Clients of redis-py as this engine wants them: bounded, never repeating a command, with one TLS context for all."""

from __future__ import annotations

import ssl
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.engine.store.address import Address
from gateway.errors import ConfigError

Client = Redis | RedisCluster


def tls_context(ca: str | None) -> ssl.SSLContext:
    """Verifies certificate and name against the authorities in the file `ca` *alone*, or against the system's.

    Raises ConfigError if that is no file of authorities.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or "not readable"
        raise ConfigError(f"the store's authorities: got {ca!r:.100} ({reason}); expected a PEM file") from None


def client_of(address: Address, tls: ssl.SSLContext | None, *, connect_s: float, connections: int) -> Client:
    """A client without any connection yet. `connections`: at most so many to each node; `tls`: for an address with TLS.

    It repeats nothing, since a Count would count twice, and has no bound of its own for a reply: whoever asks has one.
    """
    options: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_timeout": None,
        "socket_connect_timeout": connect_s,
        "max_connections": connections,
        "protocol": 2,  # every server and proxy speaks it, and nothing here needs more
        "driver_info": None,  # no CLIENT SETINFO on each connection
        "retry": Retry(NoBackoff(), 0),
    }
    if address.path:
        pool = ConnectionPool(UnixDomainSocketConnection, path=address.path, db=address.db, **options)
        return Redis.from_pool(pool)
    connection_class = Connection if tls is None else _tls_connection(tls)
    if address.cluster:
        return _cluster(address, options, connection_class)
    host, port = address.nodes[0]
    return Redis.from_pool(ConnectionPool(connection_class, host=host, port=port, db=address.db, **options))


def _cluster(address: Address, options: dict[str, Any], connection_class: type[Connection]) -> RedisCluster:
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    client = RedisCluster(startup_nodes=nodes, ssl=address.tls, **options)
    client.connection_kwargs["connection_class"] = connection_class  # of the nodes that it will find
    for node in client.startup_nodes:
        node.connection_class = connection_class
    return client


def _tls_connection(context: ssl.SSLContext) -> type[SSLConnection]:
    """redis-py's own class reads the system's authorities for each connection, which holds the event loop up for 30 ms
    each time, and trusts them besides those that it is given."""

    class TlsConnection(SSLConnection):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.ssl_context.context = context

    return TlsConnection
