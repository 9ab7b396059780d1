"""The section `engine` of the configuration: the embedded Protection API, alone or inside the gateway."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from gateway.config.patch import PatchFileName
from gateway.config.secret import Secret, StoreUrl
from gateway.config.section import Section, required, setting
from gateway.config.units import format_duration
from gateway.config.value import (
    AccessLog,
    Contact,
    Count,
    Difficulty,
    DirectoryName,
    Duration,
    Finding,
    Flag,
    HostName,
    ListenAddress,
    NameServer,
    ReadableFile,
    StorePrefix,
    report,
)


class EngineTls(Section):
    """TLS of the embedded Protection API."""

    certificate: ReadableFile = required("PEM file: the certificate, followed by its chain.")
    private_key: ReadableFile = required("PEM file: the key of the certificate, without a password.")


class EngineListen(Section):
    """Where `gateway engine` serves."""

    address: ListenAddress = required("host:port, [v6]:port or unix:/path.")
    tls: EngineTls | None = setting(None, "Serve TLS; null = plain HTTP.")


class EngineSession(Section):
    """The `datadome` cookie: who a visitor is to the engine, and what he has proved."""

    secrets: tuple[Secret, ...] = setting(
        [], "Sign sessions and challenges; the first one signs, all are accepted, so that they can be rotated. [] = "
        "one made at the start: then sessions end with the process, and engines do not know each other's."
    )  # fmt: skip
    lifetime: Duration = setting("24h", "How long a session, and with it a passed challenge, counts.")
    bind_address: Flag = setting(
        True, "Sessions count only in the network they were given to (IPv4 /24, IPv6 /56), so that a stolen one is "
        "worth little. false where visitors change networks often."
    )  # fmt: skip


class EngineChallenge(Section):
    """The challenge that doubtful visitors get."""

    difficulty: Difficulty = setting(
        16, "Work of a visitor without a score: 2^16 hashes, well under 2 s on a phone; a score adds up to 3."
    )
    without_javascript: Flag = setting(True, "Whether there is a way without JavaScript: to wait, and come back.")
    wait: Duration = setting("6s", "How long that takes, from 1s to 60s.")
    contact: Contact | None = setting(
        None, "Whom a stopped visitor can ask: an e-mail address, a URL or a few words. null = nobody is named."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= self.wait <= 60:
            report([Finding(("wait",), self.wait, "from 1s to 60s")])
        return self


class EngineStore(Section):
    """What engines remember together: rate limits, spent proofs, overrides."""

    url: StoreUrl = setting(
        "memory", "memory = each engine its own; valkey:// (redis:// too), valkeys:// with TLS, valkey+cluster:// or "
        "unix:/PATH = shared. User and password may stand in it."
    )  # fmt: skip
    timeout: Duration = setting(
        "30ms", "How long a request waits for it; past it the engine decides from what it knows itself."
    )
    prefix: StorePrefix = setting("gateway", "Begins every key, with a colon behind it.")
    ca: ReadableFile | None = setting(None, "PEM file of the authorities of its certificate; null = the system's.")
    capacity: Count = setting(
        100_000,
        "Counters that an engine holds itself, at most, the idle ones go first; and as many spent proofs again.",
    )


class EngineCrawlers(Section):
    """How it is found out whether a crawler is the one that it claims to be."""

    dns: Flag = setting(True, "Ask for the name of an address, and for the name's addresses (forward-confirmed).")
    nameservers: tuple[NameServer, ...] = setting([], "Whom to ask, ADDRESS or ADDRESS:PORT; [] = the system's.")
    wait: Duration = setting(
        "80ms", "How long a request waits for that, less than protection.timeout; past it a claim is unknown for now."
    )
    refresh: Duration | None = setting(
        None, "How often the operators' published address ranges are fetched; null = never: those that are shipped."
    )
    cache: DirectoryName | None = setting(
        None, "Directory that keeps what was fetched over a restart, made if it is not there; null = none."
    )
    agents: tuple[HostName, ...] | None = setting(
        None, "Agents whose signatures (Web Bot Auth) are verified with the keys that they publish; null = the known "
        "ones, [] = none. Keys are fetched from these hosts alone."
    )  # fmt: skip
    agent_keys: dict[HostName, ReadableFile] = setting({}, "Agents whose keys are in a file (JWKS) instead.")


class Engine(Section):
    """The embedded Protection API."""

    listen: EngineListen | None = setting(
        None, "Where `gateway engine` serves; `gateway run` needs none, it uses a Unix socket of its own."
    )
    keys: tuple[Secret, ...] = setting([], "Keys that are accepted, secrets; [] = any that is not empty.")
    policy: ReadableFile | None = setting(
        None, "File with rules (YAML), read again when it changes; null = the preset moderate."
    )
    patches: PatchFileName | None = setting(
        None, "File in which `posture.actions` writes what follows from findings, read again when it changes; one that "
        "is not there has none. null = none; `gateway run` needs none."
    )  # fmt: skip
    decision_log: AccessLog = setting(
        False, "A line for each visitor who is stopped, with rule, score and findings: true = stdout, or a file name."
    )
    session: EngineSession = setting({}, "Sessions.")
    challenge: EngineChallenge = setting({}, "Challenges.")
    store: EngineStore = setting({}, "What is remembered; a change needs a restart.")
    crawlers: EngineCrawlers = setting({}, "Verification of crawlers; a change needs a restart, but of wait.")


def patient(engine: Engine, timeout: float) -> Engine:
    """The engine whose waiting fits into a check of `timeout`: a default follows it, a value that is given is an error.
    Else whoever names a crawler that is slow to look up is late at every check, and passes, and everybody after him."""
    crawlers = engine.crawlers
    left = timeout - (0.0 if engine.store.url.get_secret_value() == "memory" else engine.store.timeout)
    if crawlers.wait < left:
        return engine
    if "wait" in crawlers.model_fields_set or left <= 0:
        expected = f"with engine.store.timeout less than protection.timeout ({format_duration(timeout)})"
        report([Finding(("engine", "crawlers", "wait"), format_duration(crawlers.wait), expected)])
    return engine.model_copy(update={"crawlers": crawlers.model_copy(update={"wait": left / 2})})
