"""Every exception that the gateway raises on purpose.

GatewayError
├── ConfigError                  the configuration cannot be used
└── ChannelError                 supervisor <-> child
    ├── ChannelClosed            the other side is gone
    ├── ChannelTimeout           the other side does not read
    └── ChannelProtocolError     what came is no message

A tree by side, then by phase. Messages give what was got and what was expected, with numbers, and never more than 100
bytes of a user's data. Exceptions of libraries are translated in the module that owns the library.
"""

from __future__ import annotations


class GatewayError(Exception):
    """The root: whoever catches it catches everything that is meant to be raised."""


class ConfigError(GatewayError):
    """The configuration cannot be used; the text says where (file, line, key) and what is accepted."""


class ChannelError(GatewayError):
    """Supervisor and child cannot talk."""


class ChannelClosed(ChannelError):
    """The other side is gone, or the channel was closed here."""


class ChannelTimeout(ChannelError):
    """The other side has not read what was sent in time."""


class ChannelProtocolError(ChannelError):
    """What was received is no message, or what should be sent is over the limit."""
