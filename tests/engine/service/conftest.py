"""Fixtures of the service's tests."""

from engine.lookup.conftest import web_server as web_server
