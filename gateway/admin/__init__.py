"""The operators' side: health, readiness, metrics, redacted configuration, status and a dashboard. Never traffic."""

from gateway.admin.service import AdminService, Gateway, assert_c_parser

__all__ = ["AdminService", "Gateway", "assert_c_parser"]
