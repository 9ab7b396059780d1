"""The section `posture`: what is accepted, what is said of the rest, and what `gateway posture` reads of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, load_config, parse_config, render_yaml
from gateway.config.access import load_sites
from gateway.config.posture import Posture, PostureAccess, load_posture
from gateway.errors import ConfigError


def posture_of(section: dict[str, Any]) -> Posture:
    return parse_config({"posture": section}).posture


def lines(caught: pytest.ExceptionInfo[ConfigError]) -> list[tuple[str, str]]:
    return [(problem.key, problem.accepted) for problem in caught.value.problems]


def write(path: Path, text: str) -> Path:
    file = path / "gateway.yaml"
    file.write_text(text)
    return file


def test_posture_defaults_need_no_account():
    posture = parse_config({}).posture
    assert posture.configured() == ()
    assert not posture.is_used
    assert posture.store.get_secret_value() == "sqlite:///posture.db"
    assert posture.providers.embedded.slow_head == 15.0


def test_provider_is_configured_when_its_section_stands_there():
    posture = posture_of({"providers": {"ddactic": {"key": "k-123"}, "embedded": {}, "cypersecurity": None}})
    assert posture.configured() == ("ddactic", "embedded")
    assert posture.is_used
    section = posture.providers.ddactic
    assert section is not None and section.key is not None
    assert section.base_url == "https://api.ddactic.net/v1"
    assert (section.timeout, section.retry.attempts, section.retry.base) == (30, 4, 0.5)
    assert section.rate_limit.max_wait == 90
    assert (section.poll.interval, section.poll.max, section.max_answer) == (5, 30, 64 * 1024 * 1024)


@pytest.mark.parametrize("name", ["key", "password"])
def test_secret_of_a_file_is_its_text_without_line_end(tmp_path, name):
    file = tmp_path / "secret"
    file.write_text("s3cret\r\n")
    section = {"key": "k-123", "userid": "u", "password": "p-123"}
    del section[name]
    posture = posture_of({"providers": {"securityspace": {**section, f"{name}_file": str(file)}}})
    assert posture.providers.securityspace is not None
    assert getattr(posture.providers.securityspace, name).get_secret_value() == "s3cret"
    assert getattr(posture.providers.securityspace, f"{name}_file") is None


def test_secret_given_twice_is_refused(tmp_path):
    file = tmp_path / "secret"
    file.write_text("other\n")
    with pytest.raises(ConfigError) as caught:
        posture_of({"webhooks": {"ddactic": {"secret": "s3cret", "secret_file": str(file)}}})
    assert lines(caught) == [
        ("posture.webhooks.ddactic.secret_file", "null, because secret is given too: one of both")
    ]
    assert "other" not in str(caught.value) and "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "accepted"),
    [
        ({"providers": {"ddactic": {}}}, "providers.ddactic.key", "a secret, or key_file with one"),
        (
            {"providers": {"securityspace": {"key": "k", "userid": "u"}}},
            "providers.securityspace.password", "a secret, or password_file with one",
        ),
        ({"webhooks": {"cypersecurity": {}}}, "webhooks.cypersecurity.secret", "a secret, or secret_file with one"),
        (
            {"providers": {"ddactic": {"key": "k", "base_url": "http://api.example/v1"}}}, "providers.ddactic.base_url",
            "an https:// URL without user, query and fragment; http:// for loopback addresses only",
        ),
        (
            {"providers": {"securityspace": {"key": "k", "userid": "u", "password": "p", "base_url": "http://127.0.0.1"}}},
            "providers.securityspace.base_url",
            "an https:// URL: this platform is asked over TLS alone, on loopback addresses too",
        ),
        ({"providers": {"nessus": {}}}, "providers.nessus",
         "a known one: ddactic, cypersecurity, securityspace, embedded"),
        ({"store": "mysql://a/b"}, "store",
         "sqlite:///FILE, sqlite:////ABSOLUTE/FILE or postgresql://USER:PASSWORD@HOST/DATABASE"),
        ({"gateway": {"addresses": ["10.0.0.0/8"]}}, "gateway.addresses[0]", "an IPv4 or IPv6 address"),
        ({"providers": {"ddactic": {"key": "k", "poll": {"interval": "1m"}}}}, "providers.ddactic.poll.max",
         "at least interval"),
        ({"providers": {"ddactic": {"key": "k", "retry": {"attempts": 0}}}}, "providers.ddactic.retry.attempts",
         "a whole number from 1 to 20"),
    ],
)  # fmt: skip
def test_section_that_cannot_be_used_is_refused_with_its_key(section, key, accepted):
    with pytest.raises(ConfigError) as caught:
        posture_of(section)
    assert lines(caught) == [(f"posture.{key}", accepted)]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8/v1", "http://localhost/v1", "http://[::1]:8", "https://a.example"])
def test_base_url_over_plain_http_is_for_loopback_addresses(url):
    posture = posture_of({"providers": {"cypersecurity": {"key": "k-123", "base_url": url}}})
    assert posture.providers.cypersecurity is not None
    assert posture.providers.cypersecurity.base_url == url


def test_secrets_are_never_shown():
    section = {
        "store": "postgresql://user:s3cret@db/posture",
        "providers": {
            "ddactic": {"key": "s3cret"},
            "securityspace": {"key": "s3cret", "userid": "u", "password": "s3cret"},
        },
        "webhooks": {"ddactic": {"secret": "s3cret"}},
        "notify": {"url": "https://hooks.example", "secret": "s3cret"},
    }
    config = parse_config({"posture": section})
    shown = render_yaml(config)
    assert "s3cret" not in shown and "s3cret" not in repr(config)
    assert "postgresql://***@db/posture" in shown
    assert parse_config(config.dump(reveal_secrets=True)).posture == config.posture


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:s3cret@db/posture?sslmode=require", "postgresql://***@db/posture?sslmode=***"),
        ("postgresql://db/posture?user=u&password=s3cret", "postgresql://db/posture?user=***&password=***"),
        ("postgresql://db/posture?password=s3@cret", "postgresql://***"),
        ("postgresql://user:s3?cret@db/posture", "postgresql://***"),
        ("postgresql://user@db/posture?s3cret", "postgresql://***@db/posture?***"),
        ("postgresql:///posture", "postgresql:///posture"),
        ("sqlite:///posture.db", "sqlite:///posture.db"),
    ],
)
def test_store_is_shown_without_user_password_and_values_of_its_query(url, shown):
    config = parse_config({"posture": {"store": url}})
    assert config.dump()["posture"]["store"] == shown
    assert parse_config(config.dump(reveal_secrets=True)).posture.store == config.posture.store


def test_urls_are_shown_without_what_may_be_secret_in_them():
    section = {
        "notify": {"url": "https://hooks.example:8443/services/T0/s3cret?a=s3cret", "secret": "s3cret"},
        "webhooks": {"public_url": "https://hooks.example/in?token=s3cret&x", "ddactic": {"secret": "s3cret"}},
        "providers": {"embedded": {"targets": {"shop.example": {"url": "https://shop.example/?token=s3cret"}}}},
    }  # fmt: skip
    with pytest.raises(ConfigError):  # without query and fragment
        parse_config({"posture": section})
    section["notify"]["url"] = "https://hooks.example:8443/services/T0/s3cret"
    config = parse_config({"posture": section})
    posture = config.dump()["posture"]
    assert posture["notify"]["url"] == "https://hooks.example:8443/***"
    assert posture["webhooks"]["public_url"] == "https://hooks.example/in?token=***&***"
    assert posture["providers"]["embedded"]["targets"]["shop.example"]["url"] == "https://shop.example/?token=***"
    assert "s3cret" not in render_yaml(config)
    assert parse_config(config.dump(reveal_secrets=True)).posture == config.posture
    assert config.posture.notify is not None and config.posture.notify.url.endswith("/services/T0/s3cret")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql://user:s3cret@db/posture", "'mysql://***'"), ("postgresql://u:s3cr et@db", "'postgresql://***'"),
        ("postgres:s3cret", "'postgres:***'"), ("s3cret", "'***'"), ("sqlite:///x?key=s3cret", "'sqlite://***'"),
    ],
)  # fmt: skip
def test_store_that_is_refused_is_said_to_its_scheme_alone(url, shown):
    with pytest.raises(ConfigError) as caught:
        posture_of({"store": url})
    assert [problem.value for problem in caught.value.problems] == [shown]
    assert "s3" not in str(caught.value)


def test_secrets_of_the_section_are_all_that_it_has():
    posture = posture_of({
        "store": "postgresql://user:st%2Fore@db/posture?sslpassword=ssl-secret&sslmode=require",
        "providers": {
            "ddactic": {"key": "dd-key"}, "cypersecurity": {"key": "cs-key"},
            "securityspace": {"key": "ss-key", "userid": "u", "password": "ss-password"},
        },
        "webhooks": {"ddactic": {"secret": "dd-hook"}, "cypersecurity": {"secret": "cs-hook"}},
        "notify": {"url": "https://hooks.example/services/T0/s3cret", "secret": "notice"},
    })  # fmt: skip
    assert set(posture.secrets()) == {
        "st%2Fore", "st/ore", "ssl-secret", "dd-key", "cs-key", "ss-key", "ss-password", "dd-hook", "cs-hook", "notice",
        "services/T0/s3cret",
    }  # fmt: skip
    assert posture_of({"notify": {"url": "https://a.example/hook", "secret": "notice"}}).secrets() == ("notice",)


# --- what the commands read ---


def test_load_posture_reads_its_section_alone(tmp_path):
    others = "sites:\n- origin: {servers: ['${UNSET}']}\nworkers: x\n"
    file = write(tmp_path, f"posture:\n  store: sqlite:///own.db\n{others}")
    assert load_posture(file).store.get_secret_value() == f"sqlite:///{tmp_path}/own.db"


def test_load_posture_refuses_a_key_that_the_configuration_does_not_know(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_posture(write(tmp_path, "postur: {}\n"))
    assert lines(caught) == [("postur", "a known one: did you mean posture?")]


def test_load_config_has_the_store_beside_the_file_too(tmp_path):
    assert load_config(write(tmp_path, "{}")).posture.store.get_secret_value() == f"sqlite:///{tmp_path}/posture.db"


@pytest.mark.parametrize("url", ["sqlite:////var/lib/own.db", "postgresql://u:p@h/d"])
def test_store_that_is_absolute_stays(tmp_path, url):
    assert load_posture(write(tmp_path, f"posture: {{store: '{url}'}}")).store.get_secret_value() == url


def test_load_sites_reads_the_sites_alone(tmp_path):
    file = write(tmp_path, "sites:\n- hosts: [shop.example]\n  origin: {servers: ['http://192.0.2.1']}\nposture: 5\n")
    (site,) = load_sites(file)
    assert site.hosts == ("shop.example",)
    assert load_sites(write(tmp_path, "posture: {}\n")) == ()


def test_posture_access_knows_the_keys_of_the_whole_configuration():
    assert PostureAccess.others == Config.model_fields.keys() - {"posture"}
