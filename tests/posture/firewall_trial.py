"""Run by a test in a network of its own (`unshare -rn`): an origin here, and outside, over one cable, the gateway
(10.99.0.5, fd99::5) and a stranger (10.99.0.6, fd99::6). Firewall lines come on standard input; who reaches the origin
before and after them is printed as JSON: {"before": [...], "after": [...]} of "ADDRESS PORT"."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

ORIGIN = {4: "10.99.0.1", 6: "fd99::1"}
GUARDED, FREE = 8443, 9000
ASKED = [
    ("10.99.0.5", GUARDED), ("10.99.0.6", GUARDED), ("fd99::5", GUARDED), ("fd99::6", GUARDED), ("10.99.0.6", FREE),
]  # fmt: skip
CONNECT = """
import socket, sys
to, port, source = sys.argv[1:]
try:
    socket.create_connection((to, int(port)), 1, (source, 0)).close()
except TimeoutError:
    sys.exit(9)
"""


def run(command: str) -> None:
    subprocess.run(["bash", "-c", command], check=True, stdin=subprocess.DEVNULL)


def lay_cable(outside: int) -> None:
    run("ip link set lo up")
    run(f"ip link add inner type veth peer name outer netns {outside}")
    run("ip addr add 10.99.0.1/24 dev inner; ip addr add fd99::1/64 dev inner nodad; ip link set inner up")
    for last in (5, 6):
        run(f"nsenter -t {outside} -n ip addr add 10.99.0.{last}/24 dev outer")
        run(f"nsenter -t {outside} -n ip addr add fd99::{last}/64 dev outer nodad")
    run(f"nsenter -t {outside} -n ip link set outer up")


def gets_in(outside: int, source: str, port: int) -> bool:
    to = ORIGIN[6 if ":" in source else 4]
    command = ["nsenter", "-t", str(outside), "-n", sys.executable, "-c", CONNECT, to, str(port), source]
    code = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
    assert code in (0, 9), f"{source} failed otherwise"
    return code == 0


def wait_for_cable(outside: int) -> None:
    """A fresh IPv6 address has to find its neighbour first."""
    for source in sorted({source for source, _ in ASKED}):
        assert any(gets_in(outside, source, FREE) for _ in range(20)), f"{source} reaches nobody"


def reached(outside: int) -> list[str]:
    got_in = [f"{source} {port}" for source, port in ASKED if gets_in(outside, source, port)]
    socket.create_connection(("127.0.0.1", GUARDED), 2).close()  # the origin's own checks always get in
    return got_in


def main() -> None:
    lines = sys.stdin.read()
    # `cat` lives, in a network of its own, until its standard input is closed; it says so when it is there.
    with subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outside:
        assert outside.stdin is not None and outside.stdout is not None
        os.write(outside.stdin.fileno(), b"here")
        assert os.read(outside.stdout.fileno(), 4) == b"here"
        lay_cable(outside.pid)
        ears = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
                for port in (GUARDED, FREE)]  # fmt: skip
        wait_for_cable(outside.pid)
        before = reached(outside.pid)
        run(f"set -e\n{lines}")
        print(json.dumps({"before": before, "after": reached(outside.pid)}))
        for ear in ears:
            ear.close()
        outside.stdin.close()


if __name__ == "__main__":
    main()
