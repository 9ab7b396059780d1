"""The schema: every default, what each key accepts, and what values mean together."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from gateway.config import Config, HeaderSource, parse_config
from gateway.config.loading import parse_text
from gateway.errors import ConfigError

# The block of the public interface, as it stands there; of `posture`, what is there without a section of its own.
INTERFACE = """
listeners:
  - address: 127.0.0.1:8080            # host:port, [v6]:port or unix:/path
    tls: null                          # {certificate: FILE, private_key: FILE, client_ca: FILE|null, min_version: ...}
    proxy_protocol: false              # v1 and v2, only from client_ip.trusted_proxies
workers: 1                             # or auto
server_name: null                      # ServerName in the payload; null = the machine's host name
drain_timeout: 30s

sites:                                 # first match wins; a request that matches none gets 421
  - name: null                         # the `site` label; null = the first of hosts
    hosts: ["*"]                       # exact, "*.example.com" or "*"; case and port ignored
    paths: ["/"]                       # path prefixes
    origin:
      servers: ["http://127.0.0.1:9000"]      # http, https or unix:; several = balanced
      balance: least_outstanding       # or round_robin
      preserve_host: true
      connect_timeout: 1s
      response_timeout: 60s            # to the response head
      idle_timeout: 60s                # between body bytes; also for tunnels
      retries: 1                       # only if safe: nothing was sent, or an idempotent request
      pool: {max_connections: 512, max_idle: 128, idle_timeout: 55s}
      health: {passive_failures: 5, ejection: 10s, active: null}   # active: {path: /healthz, interval: 5s, timeout: 1s}
      tls: {ca: null, server_name: null, verify: true, client_certificate: null}
    protection: {}                     # overrides of the section below for this site

protection:
  mode: enforce                        # enforce | monitor (asks, counts, logs, enforces nothing) | off
  endpoint: embedded                   # embedded | https://... | http://... | unix:/path
  key: ${PROTECTION_API_KEY:-embedded}
  encoding: auto                       # auto | json | form
  timeout: 150ms                       # the total budget of a check, connect and waiting for a connection included
  pool: {max_connections: 256, warm: 8, idle_timeout: 55s}
  on_failure: allow                    # allow | block (503)
  integrity: strict                    # strict | header
  enforce_429: true
  breaker: {failures: 20, window: 10s, open: 5s}    # while open: no call, on_failure at once
  max_answer_bytes: 256KiB
  exclude_static: true                 # the contract's list, GET and HEAD
  static_extensions: null              # null = the contract's list
  exclude: []                          # regular expressions on host + raw path
  include: []                          # empty = everything
  exclude_methods: []
  exclude_ips: []                      # CIDR
  field_limits: {}                     # field: bytes
  custom_fields: {}                    # customFieldString1: {header: X-Plan} or a constant
  fingerprint_headers: {ja3: null, ja4: null}
  graphql: {enabled: false, paths: [/graphql], max_body_bytes: 25KiB}
  mcp: {enabled: false, paths: [/mcp], max_body_bytes: 25KiB}
  restore_referrer: false

client_ip:
  trusted_proxies: []                  # CIDR; from anyone else every forwarding header is replaced
  header: X-Forwarded-For              # walked right to left over trusted hops
limits:
  request_head_bytes: 64KiB
  request_headers: 100
  request_target_bytes: 16KiB
  request_body_bytes: null
  response_head_bytes: 128KiB
  connections: 10000                   # per worker; over it new ones get 503 and close
  pipelined_requests: 16
  head_timeout: 10s                    # slow heads get 408
  body_timeout: 30s                    # between body bytes
  keep_alive_timeout: 60s
admin:
  address: 127.0.0.1:9090              # /metrics /healthz /readyz /config /status.json and the dashboard at /
  token: null                          # bearer token when set; required when the address is not a loopback one
logging:
  level: info
  format: json                         # or console
  access_log: true                     # one line per exchange on stdout; or a file name; or false
tracing: null                          # {endpoint: OTLP URL, sample: 0.01}
engine:                                # the embedded Protection API
  listen: null                         # for `gateway engine`
  keys: []                             # accepted keys; [] = any non-empty one
  policy: null                         # FILE; null = the built-in policy
  patches: null
  decision_log: false
  session: {secrets: [], lifetime: 24h, bind_address: true}
  challenge: {difficulty: 16, without_javascript: true, wait: 6s, contact: null}
  store: {url: memory, timeout: 30ms, prefix: gateway, ca: null, capacity: 100000}
  crawlers: {dns: true, nameservers: [], wait: 80ms, refresh: null, cache: null, agents: null, agent_keys: {}}
posture:
  store: sqlite:///posture.db          # relative to this file
  providers:
    ddactic: null
    cypersecurity: null
    securityspace: null
    embedded: {targets: {}, timeout: 5s, burst: 30, slow_head: 15s, expiry_days: 30}
  webhooks: null                       # absent = no receiver
  notify: null
  actions: {file: null, rules: []}
  gateway: {addresses: [], name: null, egress: []}
"""


@pytest.fixture(autouse=True)
def without_key(monkeypatch):
    monkeypatch.delenv("PROTECTION_API_KEY", raising=False)


def problem_of(mapping: dict[str, Any]) -> tuple[str, str, str]:
    """(key, value, accepted) of the only problem."""
    with pytest.raises(ConfigError) as caught:
        parse_config(mapping)
    (problem,) = caught.value.problems
    return problem.key, problem.value, problem.accepted


def nested(key: str, value: Any) -> dict[str, Any]:
    """`nested("a.b", 1)` is `{"a": {"b": 1}}`; the part `sites` and `listeners` is a list of one."""
    for part in reversed(key.split(".")):
        value = {part: [value] if part in ("sites", "listeners") and isinstance(value, dict) else value}
    return value  # type: ignore[no-any-return]


# --- defaults ---


def test_defaults_are_those_of_the_interface():
    assert parse_text(INTERFACE, "interface.md") == parse_config({})


def test_defaults_interface_block_names_every_key():
    """The block and the schema have the same keys, the file variants of the two secrets aside."""

    def keys(value: Any, prefix: str = "") -> set[str]:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return keys(value[0], prefix)
        if not isinstance(value, dict):
            return set()
        return {prefix + key for key in value} | {
            below
            for key, inner in value.items()
            if prefix + key != "sites.protection"
            for below in keys(inner, f"{prefix}{key}.")
        }

    from gateway.config.source import Source

    assert keys(parse_config({}).dump()) == keys(Source("interface.md", INTERFACE).data) | {
        "protection.key_file",
        "admin.token_file",
    }


def test_defaults_in_the_program_are_seconds_bytes_and_secrets():
    config = parse_config({})
    assert config.protection.timeout == 0.15
    assert config.sites[0].origin.response_timeout == 60.0
    assert config.protection.max_answer_bytes == 262144
    assert config.protection.key == SecretStr("embedded")
    assert config.listeners[0].address == "127.0.0.1:8080"
    assert config.limits.request_body_bytes is None


def test_defaults_are_filled_in():
    config = parse_config({"workers": "auto"})
    assert config.server_name == socket.gethostname()
    assert config.workers == len(os.sched_getaffinity(0))
    assert config.sites[0].name == "*"


def test_key_default_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("PROTECTION_API_KEY", "k-environment")
    config = parse_config({})
    assert config.protection.key.get_secret_value() == "k-environment"
    assert config.sites[0].protection.key.get_secret_value() == "k-environment"


def test_sections_empty_or_null_have_all_defaults():
    sections = ("protection", "client_ip", "limits", "admin", "logging", "engine", "tracing", "posture", "server_name")
    assert parse_config(dict.fromkeys(sections)) == parse_config({})
    assert parse_config({"sites": [None], "listeners": [{}]}) == parse_config({})


def test_config_is_frozen():
    config = parse_config({})
    with pytest.raises(ValidationError, match="frozen"):
        config.workers = 2
    with pytest.raises(ValidationError, match="frozen"):
        config.protection.timeout = 1.0
    assert isinstance(config.sites, tuple)


def test_config_of_the_engine_alone_needs_its_section_only():
    config = parse_config({"engine": {"listen": {"address": "127.0.0.1:8090"}, "keys": ["k"]}})
    assert config.engine.listen is not None
    assert config.engine.listen.address == "127.0.0.1:8090"
    assert config.sites == parse_config({}).sites


# --- values that are changed or read ---


@pytest.mark.parametrize(
    ("key", "written", "read"),
    [
        ("protection.exclude_methods", ["options", "Trace"], ("OPTIONS", "TRACE")),
        ("protection.static_extensions", [".CSS", "js"], ("css", "js")),
        ("protection.static_extensions", [], ()),
        ("protection.mode", False, "off"),
        ("protection.mode", "off", "off"),
        ("protection.field_limits", {"UserAgent": "1KiB", "Referer": 10}, {"UserAgent": 1024, "Referer": 10}),
        (
            "protection.custom_fields",
            {"customFieldString1": {"header": "X-Plan"}},
            {"customFieldString1": HeaderSource("X-Plan")},
        ),
        (
            "protection.custom_fields",
            {"customFieldInteger1": -7, "customFieldFloat1": 2, "customFieldString3": "gold"},
            {"customFieldInteger1": -7, "customFieldFloat1": 2, "customFieldString3": "gold"},
        ),
        ("protection.endpoint", "http://127.0.0.1:9/v1/", "http://127.0.0.1:9/v1"),
        ("protection.exclude_ips", ["10.0.0.0/8", "::1"], ("10.0.0.0/8", "::1")),
        ("limits.request_body_bytes", "1MiB", 1048576),
        ("limits.request_body_bytes", 1000, 1000),
        ("logging.access_log", "/var/log/access.log", "/var/log/access.log"),
        ("logging.access_log", False, False),
        ("client_ip.header", "CF-Connecting-IP", "CF-Connecting-IP"),
        ("admin.address", "[::1]:9090", "[::1]:9090"),
        ("engine.keys", ["a", "embedded"], (SecretStr("a"), SecretStr("embedded"))),
    ],
)
def test_value_valid_is_read(key, written, read):
    section, name = key.split(".")
    assert getattr(getattr(parse_config(nested(key, written)), section), name) == read


def test_site_values_are_read():
    site = parse_config(
        {
            "sites": [
                {
                    "hosts": ["Shop.Example", "*.shop.example"],
                    "paths": ["/api"],
                    "origin": {
                        "servers": ["https://10.0.0.1:8443/", "unix:/run/app.sock"],
                        "balance": "round_robin",
                        "health": {"active": {}},
                    },
                }
            ]
        }
    ).sites[0]
    assert (site.name, site.hosts, site.paths) == ("shop.example", ("shop.example", "*.shop.example"), ("/api",))
    assert site.origin.servers == ("https://10.0.0.1:8443", "unix:/run/app.sock")
    assert site.origin.health.active is not None
    assert (site.origin.health.active.path, site.origin.health.active.interval) == ("/healthz", 5.0)


def test_listener_tls_and_proxy_protocol_are_accepted(tmp_path):
    pem = tmp_path / "cert.pem"
    pem.write_text("pem")
    listener = {
        "address": "0.0.0.0:8443",
        "proxy_protocol": True,
        "tls": {"certificate": str(pem), "private_key": str(pem), "client_ca": str(pem), "min_version": 1.3},
    }
    tls = parse_config({"listeners": [listener]}).listeners[0].tls
    assert tls is not None
    assert (tls.certificate, tls.client_ca, tls.min_version) == (str(pem), str(pem), "1.3")


# --- refused values, one by one ---

DURATION = "a duration over 0 and up to 8760h with its unit: 150ms, 2s, 1m or 1h"
SIZE = "a size of at least 1 byte, up to 1024GiB: 512B, 24KiB, 1MiB, 2GiB, or a plain number of bytes"
COUNT = "a whole number from 1 to 10000000"
HEADER = "a header name: 1 to 100 of the letters, digits and signs of RFC 9110 5.6.2"
ADDRESS = "host:port, [v6]:port or unix:/path (at most 107 bytes)"


@pytest.mark.parametrize(
    ("key", "value", "shown", "accepted"),
    [
        ("workers", 0, "0", "auto or a whole number from 1 to 1024"),
        ("workers", "many", "'many'", "auto or a whole number from 1 to 1024"),
        ("workers", True, "true", "auto or a whole number from 1 to 1024"),
        ("drain_timeout", 30, "30", DURATION),
        ("drain_timeout", "0s", "'0s'", DURATION),
        ("drain_timeout", None, "null", DURATION),
        ("server_name", "", "''", "1 to 253 printable ASCII characters without spaces at the ends"),
        ("protection.timeout", "150", "'150'", DURATION),
        ("protection.mode", "on", "'on'", "one of enforce, monitor, off"),
        ("protection.mode", True, "true", "one of enforce, monitor, off"),
        ("protection.mode", [], "an empty list", "one of enforce, monitor, off"),
        ("protection.encoding", "xml", "'xml'", "one of auto, json, form"),
        ("protection.on_failure", "deny", "'deny'", "one of allow, block"),
        ("protection.integrity", 1, "1", "one of strict, header"),
        ("protection.enforce_429", "yes", "'yes'", "true or false"),
        ("protection.enforce_429", 1, "1", "true or false"),
        ("protection.max_answer_bytes", "256KB", "'256KB'", SIZE),
        ("protection.max_answer_bytes", 0, "0", SIZE),
        ("protection.max_answer_bytes", 1.5, "1.5", SIZE),
        ("protection.pool.max_connections", 0, "0", COUNT),
        ("protection.pool.max_connections", 1.0, "1.0", COUNT),
        ("protection.pool.max_connections", "8", "'8'", COUNT),
        ("protection.pool.warm", 257, "257", "at most max_connections (256)"),
        ("protection.breaker.failures", False, "false", COUNT),
        ("protection.exclude", "x", "'x'", "a list"),
        (
            "protection.exclude_ips",
            ["10.0.0.1/8"],
            "'10.0.0.1/8'",
            "10.0.0.0/8 or a single address: the host bits of a network are zero",
        ),
        ("protection.exclude_methods", ["GET POST"], "'GET POST'", "a method, such as OPTIONS"),
        ("protection.static_extensions", ["a/b"], "'a/b'", "a file extension, such as css"),
        ("protection.field_limits", {"UserAgent": 0}, "0", SIZE),
        ("protection.field_limits", [], "an empty list", "a mapping of field: bytes"),
        (
            "protection.field_limits",
            {"userAgent": 5},
            "5",
            "a field that can be set here: did you mean UserAgent or SignatureAgent?",
        ),
        (
            "protection.custom_fields",
            {"customFieldString4": "a"},
            "'a'",
            "a field that can be set here: "
            "did you mean customFieldString3 or customFieldString2 or customFieldString1?",
        ),
        (
            "protection.custom_fields",
            {"UserAgent": "a"},
            "'a'",
            "a field that can be set here: customFieldString1, customFieldString2, customFieldString3, "
            "customFieldInteger1, customFieldInteger2, customFieldFloat1",
        ),
        (
            "protection.custom_fields",
            {"customFieldString1": 5},
            "5",
            "{header: NAME} or a printable text that is not empty (quote a number)",
        ),
        (
            "protection.custom_fields",
            {"customFieldInteger1": 1.5},
            "1.5",
            "{header: NAME} or a whole number of 64 bits",
        ),
        (
            "protection.custom_fields",
            {"customFieldInteger1": 1 << 63},
            "9223372036854775808",
            "{header: NAME} or a whole number of 64 bits",
        ),
        ("protection.custom_fields", {"customFieldFloat1": float("inf")}, "inf", "{header: NAME} or a number"),
        ("protection.custom_fields", {"customFieldFloat1": True}, "true", "{header: NAME} or a number"),
        (
            "protection.custom_fields",
            {"customFieldString1": {"header": "a b"}},
            "a mapping",
            "{header: NAME} with the name of a header, and nothing else",
        ),
        (
            "protection.custom_fields",
            {"customFieldString1": {"header": "a", "x": 1}},
            "a mapping",
            "{header: NAME} with the name of a header, and nothing else",
        ),
        ("protection.fingerprint_headers.ja3", "X JA3", "'X JA3'", HEADER),
        ("client_ip.header", "X-Forwarded-For:", "'X-Forwarded-For:'", HEADER),
        (
            "client_ip.trusted_proxies",
            ["proxy"],
            "'proxy'",
            "an IPv4 or IPv6 network in CIDR form, such as 10.0.0.0/8 or fd00::/8",
        ),
        ("limits.connections", -1, "-1", COUNT),
        ("admin.address", "9090", "'9090'", ADDRESS),
        ("logging.level", "trace", "'trace'", "one of debug, info, warning, error"),
        ("logging.access_log", "yes", "'yes'", "true (standard output), false or a file name"),
        ("logging.access_log", 1, "1", "true (standard output), false or a file name"),
        ("listeners.address", "8080", "'8080'", ADDRESS),
        ("listeners.proxy_protocol", "v2", "'v2'", "true or false"),
        ("sites.paths", ["admin"], "'admin'", "a path prefix in ASCII that begins with / and has no space, ? or #"),
        ("sites.paths", ["/a?b"], "'/a?b'", "a path prefix in ASCII that begins with / and has no space, ? or #"),
        ("sites.hosts", [], "an empty list", "a list that is not empty"),
        ("sites.origin.servers", [], "an empty list", "a list that is not empty"),
        (
            "sites.origin.servers",
            ["http://u:secret@a/b"],
            "'http://***@a/b'",
            "http://host[:port], https://host[:port] or unix:/path, without path, user or query",
        ),
        ("sites.origin.balance", "random", "'random'", "one of least_outstanding, round_robin"),
        ("sites.origin.retries", 11, "11", "a whole number from 0 to 10"),
        ("sites.origin.pool.max_idle", 513, "513", "at most max_connections (512)"),
        ("sites", [], "an empty list", "a list that is not empty"),
        ("listeners", "127.0.0.1:80", "'127.0.0.1:80'", "a list"),
    ],
)
def test_value_invalid_is_refused_with_what_is_accepted(key, value, shown, accepted):
    found = problem_of(nested(key, value))
    assert found[1:] == (shown, accepted)
    assert found[0].replace("[0]", "").startswith(key)


@pytest.mark.parametrize("pattern", ["(", "a{99999999999999999999}", "[[:alpha:]]", "\\", "(?P<a>.)(?P<a>.)", "a(?i)"])
def test_pattern_that_does_not_compile_is_refused(pattern):
    key, _, accepted = problem_of({"protection": {"exclude": ["^/ok$", pattern]}})
    assert key == "protection.exclude[1]"
    assert accepted.startswith("a regular expression (")


@pytest.mark.parametrize(
    ("key", "value", "accepted"),
    [
        ("tracing", {"endpoint": "http://a"}, "null: not available in this version"),
        ("protection.graphql.enabled", True, "false: true is not available in this version"),
        ("protection.mcp.enabled", True, "false: true is not available in this version"),
        ("protection.restore_referrer", True, "false: true is not available in this version"),
    ],
)
def test_key_of_a_later_version_says_so(key, value, accepted):
    assert problem_of(nested(key, value))[::2] == (key, accepted)


# --- files ---


def test_tls_file_missing_is_named(tmp_path):
    pem = tmp_path / "cert.pem"
    pem.write_text("pem")
    missing = str(tmp_path / "key.pem")
    tls = {"certificate": str(pem), "private_key": missing}
    expected = "a file that can be read (No such file or directory)"
    assert problem_of({"listeners": [{"tls": tls}]})[::2] == ("listeners[0].tls.private_key", expected)
    engine = {"listen": {"address": "127.0.0.1:1", "tls": tls}}
    assert problem_of({"engine": engine})[::2] == ("engine.listen.tls.private_key", expected)
    origin = {"origin": {"tls": {"ca": str(tmp_path)}}}
    assert problem_of({"sites": [origin]})[::2] == (
        "sites[0].origin.tls.ca",
        "a file that can be read (Is a directory)",
    )


@pytest.mark.parametrize("name", ["there", "new", "new/", "../new"])
def test_directory_is_accepted_if_it_can_be_written_to_or_made(tmp_path, monkeypatch, name):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    for given in (name, str(tmp_path / name)):
        assert parse_config({"engine": {"crawlers": {"cache": given}}}).engine.crawlers.cache == given
    assert not (tmp_path / "new").exists()  # whoever writes makes it


@pytest.mark.parametrize("name", ["", "file", "file/new", "nowhere/new", "dangling", "a\0b", "a\nb"])
def test_directory_that_cannot_be_made_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    found = problem_of({"engine": {"crawlers": {"cache": name}}})
    assert found[::2] == ("engine.crawlers.cache", "a directory that can be written to, or a new name in one")


def test_tls_key_left_out_is_named(tmp_path):
    pem = tmp_path / "cert.pem"
    pem.write_text("pem")
    assert problem_of({"listeners": [{"tls": {"certificate": str(pem)}}]}) == (
        "listeners[0].tls.private_key",
        "nothing",
        "a value: PEM file: the key of the certificate, without a password.",
    )


def test_key_file_is_read_without_its_line_end(tmp_path):
    file = tmp_path / "key"
    file.write_text("k-file\r\n\n")
    config = parse_config({"protection": {"key_file": str(file)}})
    assert config.protection.key == SecretStr("k-file")
    assert config.protection.key_file is None
    assert config.sites[0].protection is config.protection


def test_token_file_is_read(tmp_path):
    file = tmp_path / "token"
    file.write_text("t-file\n")
    config = parse_config({"admin": {"address": "0.0.0.0:9090", "token_file": str(file)}})
    assert config.admin.token == SecretStr("t-file")


@pytest.mark.parametrize(("section", "key"), [("protection", "key"), ("admin", "token")])
def test_secret_and_its_file_are_not_both_accepted(tmp_path, section, key):
    file = tmp_path / "secret"
    file.write_text("s-file")
    found = problem_of({section: {key: "s-inline", f"{key}_file": str(file)}})
    assert found == (f"{section}.{key}_file", "***", f"null, because {key} is given too: one of both")


@pytest.mark.parametrize(
    ("content", "accepted"),
    [
        (b"", "a file that holds a secret: 1 to 4096 printable characters without spaces at the ends"),
        (b"two\nlines", "a file that holds a secret: 1 to 4096 printable characters without spaces at the ends"),
        (b"\xff\xfe", "a file that holds the secret in UTF-8"),
        (b"x" * 5000, "a file that holds a secret: 1 to 4096 printable characters without spaces at the ends"),
        (None, "a file that can be read (No such file or directory)"),
    ],
)
def test_key_file_unusable_says_why(tmp_path, content, accepted):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    found = problem_of({"protection": {"key_file": str(file)}})
    assert found[::2] == ("protection.key_file", accepted)


# --- several values together ---


def test_site_protection_is_merged_key_by_key():
    config = parse_config(
        {
            "protection": {
                "timeout": "1s",
                "pool": {"warm": 2, "max_connections": 10},
                "exclude": ["a"],
                "field_limits": {"Referer": 1},
                "custom_fields": {"customFieldString1": "gold"},
            },
            "sites": [
                {
                    "hosts": ["a"],
                    "protection": {
                        "mode": "monitor",
                        "pool": {"warm": 4},
                        "exclude": ["b"],
                        "field_limits": {"UserAgent": 2},
                        "custom_fields": {"customFieldString1": {"header": "X-Plan"}},
                    },
                },
                {"hosts": ["b"]},
            ],
        }
    )
    own = config.sites[0].protection
    assert (own.mode, own.timeout, own.exclude) == ("monitor", 1.0, ("b",))
    assert (own.pool.warm, own.pool.max_connections) == (4, 10)
    assert own.field_limits == {"Referer": 1, "UserAgent": 2}
    assert own.custom_fields == {"customFieldString1": HeaderSource("X-Plan")}
    assert config.sites[1].protection is config.protection
    assert config.protection.mode == "enforce"


def test_site_key_replaces_the_global_file_and_the_other_way_round(tmp_path):
    file = tmp_path / "key"
    file.write_text("k-file\n")
    config = parse_config({"protection": {"key_file": str(file)}, "sites": [{"protection": {"key": "k-site"}}]})
    assert config.protection.key == SecretStr("k-file")
    assert config.sites[0].protection.key == SecretStr("k-site")
    config = parse_config({"protection": {"key": "k-global"}, "sites": [{"protection": {"key_file": str(file)}}]})
    assert config.sites[0].protection.key == SecretStr("k-file")


def test_site_inherits_a_problem_that_is_reported_once():
    assert problem_of({"protection": {"timeout": 5}, "sites": [{"hosts": ["a"]}, {"hosts": ["b"]}]})[0] == (
        "protection.timeout"
    )


def test_site_override_is_checked_against_the_merged_section():
    found = problem_of(
        {"protection": {"pool": {"warm": 8}}, "sites": [{"protection": {"pool": {"max_connections": 4}}}]}
    )
    assert found == ("sites[0].protection.pool.warm", "8", "at most max_connections (4)")
    parse_config({"protection": {"pool": {"max_connections": 999}}, "sites": [{"protection": {"pool": {"warm": 998}}}]})


@pytest.mark.parametrize(("max_connections", "warm", "max_idle"), [(1, 1, 1), (8, 8, 8), (127, 8, 127), (129, 8, 128)])
def test_pool_defaults_follow_a_smaller_max_connections(max_connections, warm, max_idle):
    pool = {"max_connections": max_connections}
    config = parse_config({"protection": {"pool": pool}, "sites": [{"origin": {"pool": pool}}]})
    assert config.protection.pool.warm == config.sites[0].protection.pool.warm == warm
    assert config.sites[0].origin.pool.max_idle == max_idle
    assert parse_config(config.dump(reveal_secrets=True)) == config


def test_pool_value_given_over_a_smaller_max_connections_is_an_error():
    """128 is the default, but who writes it means it."""
    found = problem_of({"sites": [{"origin": {"pool": {"max_connections": 4, "max_idle": 128}}}]})
    assert found == ("sites[0].origin.pool.max_idle", "128", "at most max_connections (4)")


def test_site_names_are_unique():
    found = problem_of({"sites": [{"hosts": ["a"]}, {"hosts": ["A", "b"], "paths": ["/x"]}]})
    assert found == ("sites[1].name", "'a'", "a name that no other site has (null takes the first of hosts)")


def test_https_endpoint_needs_a_real_key():
    expected = "the API's real key with an https endpoint (set PROTECTION_API_KEY, key or key_file)"
    endpoint = {"endpoint": "https://api.datadome.co"}
    assert problem_of({"protection": endpoint}) == ("protection.key", "***", expected)
    assert problem_of({"sites": [{"protection": endpoint}]}) == ("sites[0].protection.key", "***", expected)
    assert parse_config({"protection": endpoint | {"key": "k"}}).protection.endpoint == "https://api.datadome.co"
    assert parse_config({"protection": {"endpoint": "http://127.0.0.1:1"}}).protection.key == SecretStr("embedded")


@pytest.mark.parametrize("address", ["0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090", "gateway.example:9090"])
def test_admin_beyond_loopback_needs_a_token(address):
    assert problem_of({"admin": {"address": address}}) == (
        "admin.token",
        "null",
        f"a token (or token_file), because {address} is not a loopback address",
    )
    parse_config({"admin": {"address": address, "token": "t"}})


def test_listeners_and_admin_have_addresses_of_their_own():
    found = problem_of({"listeners": [{}, {"address": "127.0.0.1:8080"}]})
    assert found == ("listeners[1].address", "'127.0.0.1:8080'", "an address that no other listener has")
    found = problem_of({"admin": {"address": "127.0.0.1:8080"}})
    assert found == ("admin.address", "'127.0.0.1:8080'", "an address that no listener has")
    parse_config({"listeners": [{"address": "127.0.0.1:0"}] * 2, "admin": {"address": "127.0.0.1:0"}})


# --- dump ---

FULL: dict[str, Any] = {
    "listeners": [{"address": "[::1]:0"}, {"address": "unix:/run/gateway.sock", "proxy_protocol": True}],
    "workers": 4,
    "server_name": "edge-1",
    "drain_timeout": "1.5s",
    "sites": [
        {"hosts": ["a.example"], "protection": {"key": "k-site", "timeout": "0.25ms", "exclude_methods": ["get"]}},
        {"name": "rest", "origin": {"servers": ["unix:/a"], "health": {"active": {"path": "/up"}}}},
    ],
    "protection": {
        "key": "k-${literal}",
        "field_limits": {"Referer": "1KiB"},
        "static_extensions": ["css"],
        "custom_fields": {
            "customFieldString1": {"header": "X-Plan"},
            "customFieldFloat1": 0.5,
            "customFieldInteger1": 1,
        },
    },
    "limits": {"request_body_bytes": 1025},
    "admin": {"token": "t-admin"},
    "logging": {"access_log": "access.log"},
    "engine": {"listen": {"address": "127.0.0.1:8090"}, "keys": ["k-${literal}", "k-site"]},
}


@pytest.mark.parametrize("mapping", [{}, FULL])
def test_dump_revealed_is_parsed_to_an_equal_config(mapping):
    import json

    config = parse_config(mapping)
    dump = config.dump(reveal_secrets=True)
    again = parse_config(json.loads(json.dumps(dump)))
    assert again == config
    assert again.dump(reveal_secrets=True) == dump


def test_dump_is_in_the_words_of_a_file():
    dump = parse_config(FULL).dump(reveal_secrets=True)
    assert dump["drain_timeout"] == "1500ms"
    assert dump["sites"][0]["protection"]["timeout"] == "0.25ms"
    assert dump["protection"]["field_limits"] == {"Referer": "1KiB"}
    assert dump["protection"]["custom_fields"]["customFieldString1"] == {"header": "X-Plan"}
    assert dump["limits"]["request_body_bytes"] == "1025B"
    assert dump["admin"] == {"address": "127.0.0.1:9090", "token": "t-admin", "token_file": None}


def test_dump_not_revealed_shows_no_secret():
    config = parse_config(FULL)
    dump = config.dump()
    assert dump["protection"]["key"] == dump["sites"][0]["protection"]["key"] == dump["admin"]["token"] == "***"
    assert dump["engine"]["keys"] == ["***", "***"]
    for text in (str(dump), repr(config), str(config)):
        assert not any(secret in text for secret in ("k-${literal}", "k-site", "t-admin"))


def test_config_made_directly_is_the_same():
    assert Config.model_validate({}) == parse_config({})


def test_engine_waits_less_than_a_check_may_take():
    shared = {"store": {"url": "valkey://127.0.0.1", "timeout": "30ms"}}
    for timeout, engine, wait_s in (("60ms", {}, 0.03), ("90ms", shared, 0.03), ("150ms", shared, 0.08)):
        config = parse_config({"protection": {"timeout": timeout}, "engine": engine})
        assert config.engine.crawlers.wait == pytest.approx(wait_s)
    remote = {"timeout": "10ms", "endpoint": "http://127.0.0.1:1"}
    assert parse_config({"protection": remote}).engine.crawlers.wait == 0.08  # another engine's affair
    others = {"listen": {"address": "127.0.0.1:1"}, "crawlers": {"wait": "1s"}}
    assert parse_config({"engine": others}).engine.crawlers.wait == 1.0
    assert problem_of({"engine": {"crawlers": {"wait": "150ms"}}})[::2] == (
        "engine.crawlers.wait", "with engine.store.timeout less than protection.timeout (150ms)",
    )  # fmt: skip
