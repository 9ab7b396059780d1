"""Files: every problem by line, references, what YAML may and may not do; nothing but ConfigError comes out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import Config, load_config, parse_config
from gateway.config.loading import parse_text
from gateway.config.source import MAX_FILE_BYTES
from gateway.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def without_key(monkeypatch):
    monkeypatch.delenv("PROTECTION_API_KEY", raising=False)
    monkeypatch.delenv("UNSET", raising=False)


def message_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_text(text, "g.yaml")
    return str(caught.value)


def lines_of(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_text(text, "g.yaml")
    return [(problem.line, problem.key) for problem in caught.value.problems]


# --- files ---


@pytest.mark.parametrize("name", ["gateway.yaml", "datadome.yaml", "development.yaml"])
def test_example_is_valid(monkeypatch, name):
    monkeypatch.setenv("PROTECTION_API_KEY", "k-real")
    config = load_config(EXAMPLES / name)
    assert parse_config(config.dump(reveal_secrets=True)) == config


@pytest.mark.parametrize("name", ["gateway.yaml", "datadome.yaml", "development.yaml"])
def test_example_expressions_are_anchored_at_the_path(monkeypatch, name):
    """One that matched anywhere would let a client leave a check out with a path of its own making."""
    monkeypatch.setenv("PROTECTION_API_KEY", "k-real")
    for expression in load_config(EXAMPLES / name).protection.exclude:
        assert expression.startswith("^[^/]+/")


def test_example_in_every_commented_line_is_valid(tmp_path):
    """What gateway.yaml shows in comments is true: with the comments taken away it is another valid file."""
    lines = (EXAMPLES / "gateway.yaml").read_text().split("\n\n", 1)[1].splitlines()
    text = "\n".join(line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines)
    for name in ("fullchain.pem", "key.pem", "admin-token"):
        (tmp_path / name).write_text("content")
    for directory in ("/etc/gateway/tls/", "/run/secrets/"):
        text = text.replace(directory, f"{tmp_path}/")
    text = text.replace("client_ca: null", f"client_ca: {tmp_path}/key.pem")
    config = parse_text(text, "gateway.yaml")
    assert [listener.address for listener in config.listeners] == ["127.0.0.1:8080", "0.0.0.0:8443"]
    assert [site.name for site in config.sites] == ["admin-area", "shop"]
    assert config.sites[0].protection.on_failure == "block"
    assert config.admin.token is not None
    assert config.engine.listen is not None
    assert config.limits == parse_config({}).limits


def test_file_missing_is_named(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config("a\0b")


def test_file_not_utf8_gives_the_line(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_bytes(b"workers: 1\nserver_name: caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}:2: got the byte 0xe9; expected UTF-8 text"


def test_file_too_large_is_refused(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="got over 8388608 bytes"):
        load_config(path)


def test_file_with_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\xef\xbb\xbfworkers: 3\n")
    assert load_config(str(path)).workers == 3


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "null"])
def test_file_empty_has_all_defaults(text):
    assert parse_text(text, "g.yaml") == parse_config({})


# --- problems ---


def test_problems_are_all_reported_with_their_lines():
    text = """\
listeners:
  - address: 127.0.0.1
  - address: 127.0.0.1:1
    adress: 127.0.0.1:2
workers: 1.5
protection:
  timout: 5s
  timeout:
    150
  pool: {warm: -1,
         max_connections: many}
sites:
  - hosts:
      - shop.example
      - shop.example:80
    protection:
      exclude: ["("]
  - origin: {servers: [http://a, "ftp://b"]}
unknown: {key: value}
"""
    assert (
        message_of(text)
        == """\
g.yaml:2: listeners[0].address: got '127.0.0.1'; expected host:port, [v6]:port or unix:/path (at most 107 bytes)
g.yaml:4: listeners[1].adress: got an unknown key; expected a known one: did you mean address?
g.yaml:5: workers: got 1.5; expected auto or a whole number from 1 to 1024
g.yaml:7: protection.timout: got an unknown key; expected a known one: did you mean timeout?
g.yaml:9: protection.timeout: got 150; expected a duration over 0 and up to 8760h with its unit: 150ms, 2s, 1m or 1h
g.yaml:10: protection.pool.warm: got -1; expected a whole number from 0 to 10000000
g.yaml:11: protection.pool.max_connections: got 'many'; expected a whole number from 1 to 10000000
g.yaml:15: sites[0].hosts[1]: got 'shop.example:80'; expected a host name in ASCII without port, [v6], \
"*.example.com" or "*"
g.yaml:17: sites[0].protection.exclude[0]: got '('; expected a regular expression \
(missing ), unterminated subpattern at position 0)
g.yaml:18: sites[1].origin.servers[1]: got 'ftp://b'; expected http://host[:port], https://host[:port] or \
unix:/path, without path, user or query
g.yaml:19: unknown: got an unknown key; expected a known one: listeners, workers, server_name, drain_timeout, sites, \
protection, client_ip, limits, admin, logging, tracing, engine, posture"""
    )


def test_problem_of_several_values_stands_at_the_key():
    text = "admin:\n  address: 0.0.0.0:1\nsites:\n- hosts: [a]\n- hosts:\n  - a\n"
    assert lines_of(text) == [(1, "admin.token"), (5, "sites[1].name")]


def test_problem_of_a_merged_section_stands_where_the_site_overrides():
    text = (
        "sites:\n- hosts: [a]\n  protection:\n    pool:\n      max_connections: 2\nprotection:\n  pool:\n    warm: 4\n"
    )
    assert lines_of(text) == [(4, "sites[0].protection.pool.warm")]


def test_problem_of_a_mapping_has_its_origin_and_no_line():
    with pytest.raises(ConfigError) as caught:
        parse_config({"workers": 0, "limits": {"x": 1}}, origin="demo")
    assert str(caught.value) == (
        "demo: workers: got 0; expected auto or a whole number from 1 to 1024\n"
        "demo: limits.x: got an unknown key; expected a known one: request_head_bytes, request_headers, "
        "request_target_bytes, request_body_bytes, response_head_bytes, connections, pipelined_requests, head_timeout, "
        "body_timeout, keep_alive_timeout"
    )


def test_problem_value_is_cut_at_100_bytes():
    with pytest.raises(ConfigError) as caught:
        parse_config({"logging": {"level": "é" * 5000}})
    assert len(caught.value.problems[0].value) <= 100
    with pytest.raises(ConfigError) as caught:
        parse_config({"workers": 10**300, "x" * 1000: 1, "a\nb": 1})
    assert all(len(line) < 600 for line in str(caught.value).splitlines())
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    "mapping",
    [
        {"protection": {"key": ["s3cret"]}},
        {"protection": {"key": " s3cret"}},
        {"protection": {"kye": "s3cret"}},
        {"protection": {"key": {"s3cret": "s3cret"}}},
        {"admin": {"token": "s3cret\n"}},
        {"admin": {"tokn": "s3cret"}},
        {"engine": {"keys": ["s3cret "]}},
        {"engine": {"keys": "s3cret"}},
        {"posture": {"key": "s3cret"}},
        {"sites": [{"protection": {"key": "s3cret\x00"}}]},
        {"protection": {"endpoint": "https://user:s3cret@api.example?x"}},
        {"protection": {"key": "s3cret", "key_file": "/dev/null"}},
    ],
)
def test_problem_never_shows_a_secret(mapping):
    with pytest.raises(ConfigError) as caught:
        parse_config(mapping)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in yaml.safe_dump([problem.value for problem in caught.value.problems])
    with pytest.raises(ConfigError) as caught:
        parse_text(yaml.safe_dump(mapping), "g.yaml")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["*s3cret", "%s3cret", "@s3cret", "!s3cret", "'s3cret", "s3cret: s3cret", "&s3cret x y: z"]
)
def test_broken_yaml_never_shows_a_secret(value):
    assert "s3cret" not in message_of(f"protection:\n  key: {value}\nworkers: 0\n")


@pytest.mark.parametrize("value", [[], "text", 5, True])
@pytest.mark.parametrize("section", ["protection", "limits", "admin", "engine"])
def test_section_of_another_type_is_refused(section, value):
    with pytest.raises(ConfigError, match=rf"<dict>: {section}: got .*; expected a mapping of keys"):
        parse_config({section: value})


@pytest.mark.parametrize("mapping", [[], "x", 5, {1: 2}, {None: 1}, {"limits": {(1, 2): 3}}])
def test_mapping_that_is_none_is_refused(mapping):
    with pytest.raises(ConfigError):
        parse_config(mapping)


# --- YAML ---


def test_yaml_repeated_key_is_refused():
    assert message_of("workers: 1\nlimits:\n  connections: 5\n  'connections': 6\nworkers: 2\n") == (
        "g.yaml:4: limits.connections: got a repeated key; expected each key once (see line 3)\n"
        "g.yaml:5: workers: got a repeated key; expected each key once (see line 1)"
    )


def test_yaml_anchors_aliases_and_merge_keys_work():
    config = parse_text(
        """\
sites:
  - hosts: [a]
    origin: &origin {servers: ["http://a:1"], retries: 0}
  - hosts: [b]
    origin: *origin
  - hosts: [c]
    origin:
      <<: [*origin, {retries: 5, balance: round_robin}]
      servers: ["http://c:1"]
""",
        "g.yaml",
    )
    assert config.sites[1].origin == config.sites[0].origin
    origin = config.sites[2].origin
    assert (origin.servers, origin.retries, origin.balance) == (("http://c:1",), 0, "round_robin")


def test_yaml_1_2_scalars_are_read():
    config = parse_text("protection: {mode: off}\nserver_name: 1:30\nlogging: {access_log: off.log}\n", "g.yaml")
    assert (config.protection.mode, config.server_name, config.logging.access_log) == ("off", "1:30", "off.log")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 10)}]\n" for below, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: b\n c: d",
            "g.yaml:2: got broken YAML: mapping values are not allowed in this context; expected one YAML document",
        ),
        (
            "a: [1",
            "g.yaml:1: got broken YAML: while parsing a flow sequence, did not find expected ',' or ']'; "
            "expected one YAML document",
        ),
        ("\nhosts: *", "g.yaml:2: got broken YAML: "),
        ("\n\n--- a\n--- b", "g.yaml:4: got broken YAML: expected a single document in the stream"),
        ("a: 1\nb: \x07", "g.yaml:2: got a character that YAML does not allow (U+0007); expected one YAML document"),
        ("protection: {key: ${KEY}}", "g.yaml:1: got broken YAML: "),
        ("\nworkers: !!python/object:os.system 1", "g.yaml:2: workers: got a tag; expected no tags (!name)"),
        ("sites: !x []", "g.yaml:1: sites: got a tag; expected no tags (!name)"),
        ("? [a]\n: b", "g.yaml:1: got a mapping or list as a key; expected a name as a key"),
        ("a: &x\n - *x", "g.yaml:1: a[0]: got an alias of what contains it; expected an alias of something else"),
        ("a: &x {<<: *x}", "g.yaml:1: a: got an alias of what contains it; expected an alias of something else"),
        ("<<: 5", "g.yaml:1: got something else behind <<; expected an alias of a mapping behind <<"),
        (BOMB, "g.yaml:1: "),
        ("[" * 51 + "]" * 51, "g.yaml:1: got something nested more than 50 deep; expected one YAML document"),
        ("[" * 200_000, "g.yaml:1: got something nested more than 50 deep; expected one YAML document"),
        ("- a", "g.yaml:1: got a list; expected a mapping of keys"),
        ("text", "g.yaml:1: got 'text'; expected a mapping of keys"),
    ],
    ids=range(17),
)
def test_yaml_that_cannot_be_a_configuration_is_refused(text, message):
    assert message in message_of(text)


def test_yaml_unquoted_reference_in_braces_says_what_to_do():
    assert "inside [] and {} a ${NAME} needs quotes" in message_of("protection: {key: ${KEY}}")


# --- references ---


def test_reference_takes_the_type_of_its_key(monkeypatch):
    monkeypatch.setenv("WORKERS", "3")
    monkeypatch.setenv("ACCESS_LOG", "false")
    monkeypatch.setenv("PROTECTION_API_KEY", "12345")
    monkeypatch.setenv("NAME", "true")
    config = parse_text(
        """\
workers: ${WORKERS}
server_name: ${NAME}
drain_timeout: ${UNSET:-2}s
listeners:
  - tls: ${UNSET:-null}
limits:
  connections: ${UNSET:-12}
  request_body_bytes: ${UNSET:-}
logging:
  access_log: ${ACCESS_LOG}
protection:
  key: ${PROTECTION_API_KEY}
  exclude:
    - ${UNSET:-^/ok}
    - ^/$${x}
  field_limits:
    UserAgent: ${UNSET:-12}
  custom_fields:
    customFieldInteger1: ${UNSET:-7}
    customFieldString1: ${UNSET:-7}
posture: ${UNSET:-}
""",
        "g.yaml",
    )
    assert (config.workers, config.server_name, config.drain_timeout) == (3, "true", 2.0)
    assert (config.listeners[0].tls, config.limits.connections, config.limits.request_body_bytes) == (None, 12, None)
    assert config.logging.access_log is False
    assert config.protection.key.get_secret_value() == "12345"
    assert config.protection.exclude == ("^/ok", "^/${x}")
    assert config.protection.field_limits == {"UserAgent": 12}
    assert config.protection.custom_fields == {"customFieldInteger1": 7, "customFieldString1": "7"}


def test_reference_empty_takes_the_filled_in_default():
    config = parse_text("server_name: ${UNSET:-}\nsites:\n- name: ${UNSET:-}\n", "g.yaml")
    assert (config.server_name, config.sites[0].name) == (parse_config({}).server_name, "*")


def test_reference_quoted_stays_a_text():
    assert message_of('workers: "${UNSET:-3}"').endswith("got '3'; expected auto or a whole number from 1 to 1024")


def test_reference_unset_is_one_problem_at_its_line():
    assert message_of("workers: 1\nprotection:\n  timeout: ${UNSET}\nadmin:\n  token: ${}\n") == (
        "g.yaml:3: protection.timeout: got ${UNSET}, which is not set; "
        "expected the environment variable to be set, or a default: ${UNSET:-default}\n"
        "g.yaml:5: admin.token: got a broken reference; expected ${NAME} or ${NAME:-default}; $${ for a literal ${"
    )


def test_reference_in_a_mapping_is_a_text():
    assert parse_config({"protection": {"key": "${UNSET}"}}).protection.key.get_secret_value() == "${UNSET}"


# --- whatever comes ---

_KEYS = st.sampled_from(
    [
        "listeners",
        "address",
        "tls",
        "workers",
        "sites",
        "hosts",
        "origin",
        "servers",
        "protection",
        "key",
        "timeout",
        "pool",
        "warm",
        "exclude",
        "field_limits",
        "custom_fields",
        "customFieldString1",
        "header",
        "limits",
        "admin",
        "engine",
        "listen",
        "keys",
        "<<",
        "name",
        "key_file",
        "mode",
        "posture",
    ]
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["1s", "5KiB", "${X:-1}", "${", "embedded", "https://a", "unix:/a", "*", "a:1", "auto", "off", "(", "null"]
    ),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)


def config_or_error(text: str) -> None:
    try:
        config = parse_text(text, "g.yaml")
    except ConfigError as error:
        assert str(error)
        return
    assert isinstance(config, Config)
    assert parse_config(config.dump(reveal_secrets=True)) == config


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_any_structure_gives_a_config_or_an_error(value):
    config_or_error(yaml.dump(value, allow_unicode=True))
    try:
        parse_config(value)
    except ConfigError as error:
        assert str(error)


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("[]{}:,-?&*!|>'\"%@` \n\t#$abc0159~<.=") | st.characters(), max_size=60))
def test_any_text_gives_a_config_or_an_error(text):
    config_or_error(text)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_give_a_config_or_an_error(tmp_path, content):
    path = tmp_path / "g.yaml"
    path.write_bytes(content)
    try:
        assert isinstance(load_config(path), Config)
    except ConfigError as error:
        assert str(error)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_mutated_example_gives_a_config_or_an_error(data):
    text = (EXAMPLES / "datadome.yaml").read_text().replace("${PROTECTION_API_KEY}", "k")
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 30))
    config_or_error(text[:at] + data.draw(st.text(max_size=5)) + text[at + cut :])


# --- processes ---


def test_worker_does_not_load_the_yaml_library():
    """A worker gets its configuration as a mapping; neither YAML nor the schema generator may cost it memory."""
    script = (
        "import sys; from gateway.config import parse_config; parse_config({}).dump();"
        "print([name for name in ('yaml', 'gateway.config.schema', 'difflib')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "[]\n"
