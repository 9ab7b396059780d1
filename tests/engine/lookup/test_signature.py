"""Signed requests (Web Bot Auth), with real keys and a real key directory."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from engine.lookup.web_server import Page, WebServer
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.lookup.directory import RETRY_S, SHORTEST_S, UNKNOWN_KEY_S, KeyDirectories
from gateway.engine.lookup.fetcher import Fetcher
from gateway.engine.lookup.jwk import read_keys
from gateway.engine.lookup.rfc9421 import Message
from gateway.engine.lookup.signature import FAKE, UNKNOWN, SignatureVerifier
from gateway.engine.question import Signed, SignedBy
from gateway.errors import ConfigError

NOW_S = 1_800_000_000
AGENT = "agent.example"
VERIFIED = SignedBy("verified", AGENT)
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
OTHER_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    public = key.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes_raw()), **more}
    numbers = public.public_numbers()
    if isinstance(public, ec.EllipticCurvePublicKey):
        x, y = (base64url(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y, **more}
    n = base64url(numbers.n.to_bytes(public.key_size // 8, "big"))
    return {"kty": "RSA", "n": n, "e": base64url(numbers.e.to_bytes(3, "big")), **more}


def directory_of(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def thumbprint(key: Any) -> str:
    (found,) = read_keys(directory_of(jwk(key)))
    return found


def sign(
    key: Any = KEY,
    *,
    header: str = f'"https://{AGENT}"',
    covers: tuple[str, ...] = ("@authority", "signature-agent"),
    created_s: float = NOW_S,
    expires_s: float | None = NOW_S + 300,
    tag: str | None = "web-bot-auth",
    label: str = "sig1",
    key_id: str | None = None,
    algorithm: Any = algorithms.ED25519,
    target: str = "/page?q=1",
    **changed: str,
) -> Signed:
    """A question of a request that was signed as told; `changed`: what the request says afterwards."""
    name = key_id or thumbprint(key)
    headers = {"Signature-Agent": header} if header else {}
    message = Message("GET", f"https://shop.example{target}", headers)
    signer = HTTPMessageSigner(
        signature_algorithm=algorithm, key_resolver=MappingKeyResolver(public_keys={}, private_keys={name: key})
    )
    signer.sign(
        message,
        key_id=name,
        created=datetime.fromtimestamp(created_s, UTC),
        expires=None if expires_s is None else datetime.fromtimestamp(expires_s, UTC),
        tag=tag,
        label=label,
        include_alg=False,
        covered_component_ids=covers,
    )
    described = Signed("GET", "https", "shop.example", target, headers["Signature"], headers["Signature-Input"], header)
    return described._replace(**changed)


def covering_parameters(count: int) -> Signed:
    """A signature of a known key over so many parameters of the query, and the usual two components."""
    names = [f"p{number}" for number in range(count)]
    covers = ("@authority", "signature-agent", *(f'"@query-param";name="{name}"' for name in names))
    return sign(covers=covers, target="/?" + "&".join(f"{name}=1" for name in names))


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher() as fetcher:
        yield fetcher


@pytest.fixture
def verifier(tmp_path: Path, fetcher: Fetcher) -> SignatureVerifier:
    """Knows one agent, whose keys are in a file."""
    return from_file(tmp_path, fetcher, jwk(OTHER_KEY), jwk(KEY), {"kty": "OKP", "crv": "X25519", "x": "AA"})


def from_file(folder: Path, fetcher: Fetcher, *keys: dict[str, Any]) -> SignatureVerifier:
    file = folder / "keys.json"
    file.write_bytes(directory_of(*keys))
    return SignatureVerifier(KeyDirectories({AGENT: file}, fetcher))


@pytest.mark.parametrize(
    "question",
    [
        sign(),
        sign(header=f'g="https://{AGENT}"', covers=("@authority", '"signature-agent";key="g"'), label="g"),
        sign(header=f'a="https://b.example", g="https://{AGENT}"', covers=("@authority", '"signature-agent";key="g"')),
        sign(header=f'g="https://{AGENT}"', label="g"),
        sign(header=f'"https://{AGENT.upper()}:443/directory"'),
        sign(header="", covers=("@authority",)),  # known by its key
        sign(covers=("@method", "@target-uri", "signature-agent")),
        sign(covers=("@authority", "@path", "@query", "signature-agent")),
        sign(covers=("@authority", '"@query-param";name="q"', "signature-agent")),
        covering_parameters(6),
        sign(covers=("@method", "@authority", "@scheme", "@target-uri", "@path", "@query", "@request-target",
                     "signature-agent")),
        sign(authority="SHOP.example"),
        sign(authority="shop.example:443"),
        sign(created_s=NOW_S + 59),
        sign(created_s=NOW_S - 80_000, expires_s=NOW_S - 59),
        sign(created_s=NOW_S - 80_000, expires_s=NOW_S + 6_400),
    ],
)  # fmt: skip
async def test_signature_of_a_known_agent_is_verified(verifier: SignatureVerifier, question: Signed) -> None:
    assert verifier.answer(question, NOW_S) == VERIFIED


async def test_agent_is_configured_in_any_case(tmp_path: Path, fetcher: Fetcher) -> None:
    (tmp_path / "keys.json").write_bytes(directory_of(jwk(KEY)))
    verifier = SignatureVerifier(KeyDirectories({AGENT.upper(): tmp_path / "keys.json"}, fetcher))

    assert verifier.answer(sign(), NOW_S) == VERIFIED


async def test_target_that_is_no_url_does_not_matter_unless_it_is_signed(verifier: SignatureVerifier) -> None:
    assert verifier.answer(sign(target="/plain")._replace(target="/a b|%zz"), NOW_S) == VERIFIED


@pytest.mark.parametrize(
    "question",
    [
        sign(authority="other.example"),
        sign(covers=("@authority", "@path", "signature-agent"), target="/other")._replace(target="/page"),
        sign(covers=("@method", "@authority", "signature-agent"), method="POST"),
        sign(OTHER_KEY, key_id=thumbprint(KEY)),
        sign(key_id="nobodys"),
        sign(covers=("signature-agent",)),
        sign(covers=("@authority",)),  # anybody's, with the header of somebody else
        sign(created_s=NOW_S + 61),
        sign(created_s=NOW_S - 300, expires_s=NOW_S - 60),
        sign(created_s=NOW_S - 86_401, expires_s=NOW_S + 9),
        sign(created_s=NOW_S, expires_s=NOW_S + 86_401),
        sign(expires_s=None),
        sign(signature="sig1=:AAAA:"),
        sign(signature=sign(created_s=NOW_S - 1).signature),
        sign(signature="other=:AAAA:"),
        sign(signature="sig1"),
        sign(signature_input=sign().signature_input.replace(";created", ';alg="hmac-sha256";created')),
        sign(signature_input=sign().signature_input.replace(";keyid", ";unknown;keyid")),
    ],
)
async def test_signature_that_does_not_hold_is_fake(verifier: SignatureVerifier, question: Signed) -> None:
    assert verifier.answer(question, NOW_S) == FAKE


@pytest.mark.parametrize(
    "question",
    [
        sign(signature=""),
        sign(signature_input=""),
        sign(tag=None),
        sign(tag="other"),
        sign(header='"https://stranger.example"'),
        sign(header=f'"https://{AGENT}.evil.example"'),
        sign(header=f'"https://{AGENT}@evil.example"'),
        sign(header=f'"https://evil.example/{AGENT}"'),
        sign(header=f'"http://{AGENT}"'),
        sign(header=f'"https://{AGENT}:8443"'),
        sign(header='"data:application/json,{}"'),
        sign(signature_agent="https://agent.example"),
        sign(signature_agent='"'),
        sign(signature_agent="☃"),
        sign(header="", covers=("@authority",), key_id="nobodys"),
        sign(signature_input="sig1"),
        sign(signature_input="sig1=1;tag=web-bot-auth"),
        sign(signature_input='sig1=1;tag="web-bot-auth"'),
        sign(signature_input="("),
        sign(signature_input=f"{sign().signature_input}, again={sign().signature_input[5:]}"),
        sign(signature_input=sign().signature_input.replace('"@authority"', '"@authority" "user-agent"')),
        sign(signature_input=sign().signature_input + " " * 9_000),
        covering_parameters(8),
        covering_parameters(1)._replace(target="/?p0=1" + "&a=%41" * 64),
        sign(signature_input=sign().signature_input + ",a" * 48),
        sign(signature="a, " * 24 + sign().signature),
        sign(signature_agent=f'"https://{AGENT}"' + ";a" * 48),
    ],
)
async def test_what_is_no_claim_of_a_known_agent_is_unknown(verifier: SignatureVerifier, question: Signed) -> None:
    assert verifier.answer(question, NOW_S) == UNKNOWN


async def test_every_kind_of_key_that_the_drafts_allow_verifies(tmp_path: Path, fetcher: Fetcher) -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    rsa_key = rsa.generate_private_key(65_537, 2048)
    verifier = from_file(tmp_path, fetcher, jwk(p256), jwk(rsa_key), jwk(KEY))

    assert verifier.answer(sign(p256, algorithm=algorithms.ECDSA_P256_SHA256), NOW_S) == VERIFIED
    assert verifier.answer(sign(rsa_key, algorithm=algorithms.RSA_PSS_SHA512), NOW_S) == VERIFIED
    assert verifier.answer(sign(), NOW_S) == VERIFIED


def test_thumbprint_is_that_of_the_specification() -> None:
    """RFC 8037, A.3, and the key of RFC 9421, B.1.4 as web-bot-auth's examples name it."""
    rfc8037 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    rfc9421 = {"kty": "OKP", "crv": "Ed25519", "x": "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs", "kid": "ignored"}

    assert list(read_keys(directory_of(rfc8037, rfc9421))) == [
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
    ]


async def test_key_that_is_over_does_not_count(tmp_path: Path, fetcher: Fetcher) -> None:
    verifier = from_file(tmp_path, fetcher, jwk(KEY, exp=NOW_S + 10))

    assert verifier.answer(sign(), NOW_S) == VERIFIED
    assert verifier.answer(sign(), NOW_S + 10) == FAKE


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"keys": 1}', '{"keys": []}', '{"keys": [1, {}, {"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}',
     '{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}', '{"keys": [{"kty": "oct", "k": "AA"}]}',
     json.dumps({"keys": [jwk(KEY)] * 65})],
)  # fmt: skip
async def test_key_file_without_a_usable_key_is_a_config_error(tmp_path: Path, fetcher: Fetcher, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)

    with pytest.raises(ConfigError, match=r"the keys of agent\.example"):
        KeyDirectories({AGENT: tmp_path / "keys.json"}, fetcher)


async def test_key_file_that_is_not_there_and_url_that_is_not_fetched_are_config_errors(
    tmp_path: Path, fetcher: Fetcher
) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        KeyDirectories({AGENT: tmp_path / "gone.json"}, fetcher)
    with pytest.raises(ConfigError, match="expected https"):
        KeyDirectories({AGENT: "http://agent.example/keys"}, fetcher)


async def ask(verifier: SignatureVerifier, question: Signed, now_s: float = NOW_S) -> SignedBy:
    reply = verifier.answer(question, now_s)
    return reply if isinstance(reply, SignedBy) else await reply


def published(web_server: WebServer, fetcher: Fetcher, wait_s: float = 10.0) -> SignatureVerifier:
    """Knows one agent, whose keys are in its directory."""
    return SignatureVerifier(KeyDirectories({AGENT: f"{web_server.url}/keys"}, fetcher), wait_s)


async def test_directory_is_fetched_once_and_kept(web_server: WebServer, fetcher: Fetcher) -> None:
    web_server.pages["/keys"] = Page(directory_of(jwk(KEY)), headers={"ETag": '"1"', "Cache-Control": "max-age=7200"})
    verifier = published(web_server, fetcher)

    assert await ask(verifier, sign()) == VERIFIED
    assert verifier.answer(sign(authority="other.example"), NOW_S) == FAKE
    assert verifier.answer(sign(created_s=NOW_S + 7_199, expires_s=NOW_S + 7_300), NOW_S + 7_199) == VERIFIED
    assert web_server.asked == [("/keys", "")]


async def test_directory_that_is_old_still_counts_while_it_is_fetched_again(
    web_server: WebServer, fetcher: Fetcher
) -> None:
    web_server.pages["/keys"] = Page(directory_of(jwk(KEY)))
    verifier = published(web_server, fetcher)
    await ask(verifier, sign())
    web_server.pages["/keys"] = Page(status=503)
    later_s = int(NOW_S + SHORTEST_S)

    assert verifier.answer(sign(created_s=later_s, expires_s=later_s + 60), later_s) == VERIFIED
    await verifier.settle()
    assert len(web_server.asked) == 2
    assert verifier.answer(sign(created_s=later_s, expires_s=later_s + 60), later_s + 1) == VERIFIED
    assert len(web_server.asked) == 2  # tried again in RETRY_S


async def test_rotated_key_is_found_but_an_unknown_one_does_not_fetch_each_time(
    web_server: WebServer, fetcher: Fetcher
) -> None:
    web_server.pages["/keys"] = Page(directory_of(jwk(OTHER_KEY)))
    verifier = published(web_server, fetcher)

    assert await ask(verifier, sign()) == FAKE
    assert verifier.answer(sign(), NOW_S + UNKNOWN_KEY_S - 1) == FAKE
    web_server.pages["/keys"] = Page(directory_of(jwk(KEY)))
    assert await ask(verifier, sign(), NOW_S + UNKNOWN_KEY_S) == VERIFIED


async def test_agent_whose_directory_cannot_be_had_is_unknown_and_tried_again(
    web_server: WebServer, fetcher: Fetcher
) -> None:
    verifier = published(web_server, fetcher)

    assert await ask(verifier, sign()) == UNKNOWN
    web_server.pages["/keys"] = Page(directory_of(jwk(KEY)))
    assert verifier.answer(sign(), NOW_S + RETRY_S - 1) == UNKNOWN
    assert await ask(verifier, sign(), NOW_S + RETRY_S) == VERIFIED


async def test_directory_that_redirects_is_not_followed(web_server: WebServer, fetcher: Fetcher) -> None:
    web_server.pages["/keys"] = Page(status=302, headers={"Location": "/elsewhere"})
    web_server.pages["/elsewhere"] = Page(directory_of(jwk(KEY)))

    assert await ask(published(web_server, fetcher), sign()) == UNKNOWN


async def test_asker_who_cannot_wait_for_the_directory_hears_unknown_and_the_next_one_knows(
    web_server: WebServer, fetcher: Fetcher
) -> None:
    web_server.pages["/keys"] = Page(directory_of(jwk(KEY)))
    web_server.go_on.clear()
    verifier = published(web_server, fetcher, wait_s=0.01)

    assert [await ask(verifier, sign()), await ask(verifier, sign())] == [UNKNOWN, UNKNOWN]
    await web_server.arrived.wait()
    web_server.go_on.set()
    await verifier.settle()
    assert verifier.answer(sign(), NOW_S) == VERIFIED
    assert len(web_server.asked) == 1


async def test_few_of_a_network_and_few_in_all_wait_for_a_directory(web_server: WebServer, fetcher: Fetcher) -> None:
    web_server.pages["/keys"] = Page(directory_of(jwk(KEY)))
    web_server.go_on.clear()
    directories = KeyDirectories({AGENT: f"{web_server.url}/keys"}, fetcher)
    verifier = SignatureVerifier(directories, 10.0, max_waiting=6, max_waiting_of_a_network=4)
    assert await ask(verifier, sign(header=f'"http://{AGENT}"')) == UNKNOWN  # which imports the cryptography

    addresses = [*(f"2a01:4f8::{n:x}" for n in range(1, 10)), *(f"203.0.{n}.1" for n in range(9))]
    replies = [verifier.answer(sign()._replace(address=address), NOW_S) for address in addresses]
    waiting = [reply for reply in replies if not isinstance(reply, SignedBy)]
    assert [isinstance(reply, SignedBy) for reply in replies] == [False] * 4 + [True] * 5 + [False] * 2 + [True] * 7
    assert {reply for reply in replies if isinstance(reply, SignedBy)} == {UNKNOWN}
    web_server.go_on.set()
    assert [await reply for reply in waiting] == [VERIFIED] * 6


async def test_nothing_is_fetched_for_an_agent_that_is_not_configured(web_server: WebServer, fetcher: Fetcher) -> None:
    verifier = published(web_server, fetcher)
    host = web_server.url.removeprefix("http://")

    assert verifier.answer(sign(header=f'"https://{host}"'), NOW_S) == UNKNOWN
    assert verifier.answer(sign(header=f'"{web_server.url}"'), NOW_S) == UNKNOWN
    assert web_server.asked == []


async def test_close_ends_a_fetch_and_its_asker(web_server: WebServer, fetcher: Fetcher) -> None:
    web_server.go_on.clear()
    verifier = published(web_server, fetcher)
    reply = verifier.answer(sign(), NOW_S)
    assert not isinstance(reply, SignedBy)

    await verifier.close()
    assert await reply == UNKNOWN
    web_server.go_on.set()


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
async def test_any_headers_are_judged_without_an_error(signature: str, signature_input: str, agent: str) -> None:
    verifier = SignatureVerifier(KeyDirectories({}, Fetcher()))

    assert verifier.answer(Signed("GET", "https", "a", "/", signature, signature_input, agent), NOW_S) == UNKNOWN
