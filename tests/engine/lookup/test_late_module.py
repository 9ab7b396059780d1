"""What takes long to import is imported when it is needed, in a thread: seen in a process that has imported nothing."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = '''
import asyncio, sys, threading
from importlib.abc import MetaPathFinder

LATE = {"aiohttp", "cryptography", "http_sf", "http_message_signatures"}
on_the_loop = []


class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in LATE and threading.current_thread() is threading.main_thread():
            on_the_loop.append(name)


sys.meta_path.insert(0, Watch())

from gateway.config import EngineCrawlers
from gateway.engine.lookup.directory import KeyDirectories
from gateway.engine.lookup.fetcher import Fetcher
from gateway.engine.lookup.signature import SignatureVerifier
from gateway.engine.question import Signed
from gateway.engine.service.lookups import Lookups
from gateway.engine.store import MemoryStore

SIGNED = Signed(
    "GET", "https", "shop.example", "/", "sig1=:AAAA:",
    'sig1=("@authority" "signature-agent");created=1;expires=2;keyid="a";tag="web-bot-auth"',
    '"https://agent.example"', "203.0.113.7",
)
STRANGER = SIGNED._replace(signature_agent='"https://stranger.example"')


async def main():
    lookups = Lookups(EngineCrawlers(), MemoryStore(), {})
    await lookups.start()
    fetcher = Fetcher()
    verifier = SignatureVerifier(KeyDirectories({"agent.example": "http://127.0.0.1:9/keys"}, fetcher), 10.0)
    ask = verifier.answer
    print(ask(STRANGER, 1.0).standing, sorted(LATE & set(sys.modules)))
    late = [ask(SIGNED, NOW_S) for _ in range(9)]
    print([getattr(reply, "standing", "later") for reply in late])
    print([(await reply).standing for reply in late if hasattr(reply, "send")])
    print(ask(SIGNED, NOW_S).standing)
    await verifier.settle()
    print(sorted(LATE & set(sys.modules)), on_the_loop)
    await verifier.close()
    await fetcher.close()
    await lookups.stop()


asyncio.run(main())
'''


def run(now_s: float) -> list[str]:
    program = PROGRAM.replace("NOW_S", str(now_s))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_first_signature_is_answered_later_and_the_next_ones_at_once_without_an_import_on_the_loop() -> None:
    assert run(now_s=9_999.0) == [  # a signature that is over
        "unknown []",
        "['later', 'later', 'later', 'later', 'unknown', 'unknown', 'unknown', 'unknown', 'unknown']",
        "['fake', 'fake', 'fake', 'fake']",
        "fake",
        "['cryptography', 'http_message_signatures', 'http_sf'] []",
    ]


def test_first_key_directory_is_fetched_without_an_import_on_the_loop() -> None:
    assert run(now_s=1.5)[2:] == [  # where nothing listens
        "['unknown', 'unknown', 'unknown', 'unknown']",
        "unknown",
        "['aiohttp', 'cryptography', 'http_message_signatures', 'http_sf'] []",
    ]
