"""The import table of the architecture, read from the source: imports go down only.

| row | modules |
|---|---|
| 4 | the command line, the composition root, the processes |
| 3 | server, admin, the embedded engine's service, posture's operations, receiver, output, patch file |
| 2 | what does I/O for a policy: the Protection API's client, origins, the control channel; posture's clients, store,
assessment; never each other |
| 2- | binding: listening sockets; pool: client connections; posture: normal form, actions, remedies, signatures |
| 1 | http <- protection <- engine: bytes in, values out; no socket, clock, logging, environment |
| 0 | configuration, errors, metrics, logs |
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent

# Lowest first; the longest prefix of a module's name decides. Within a block modules import each other freely; between
# the blocks of one row nothing is imported, except where BELOW says that one stands on the other.
ROWS: list[dict[str, list[str]]] = [
    {
        "package": ["gateway"],
        "errors": ["gateway.errors"],
        "config": ["gateway.config"],
        "metrics": ["gateway.metrics"],
        "logs": ["gateway.logs"],
    },
    {"http": ["gateway.http"], "protection": ["gateway.protection"], "engine": ["gateway.engine"]},
    {
        "binding": ["gateway.binding"],
        "pool": ["gateway.pool"],
        "posture": [
            "gateway.posture.action",
            "gateway.posture.answer",
            "gateway.posture.document",
            "gateway.posture.domain",
            "gateway.posture.event",
            "gateway.posture.finding",
            "gateway.posture.moment",
            "gateway.posture.remedy",
            "gateway.posture.scan",
            "gateway.posture.severity",
            "gateway.posture.signature",
            "gateway.posture.watching",
        ],
    },
    {
        "protection client": [
            "gateway.protection.checker",
            "gateway.protection.client",
            "gateway.protection.negotiation",
        ],
        "origin": ["gateway.origin"],
        "control": ["gateway.control"],
        "engine store": ["gateway.engine.store"],
        "engine lookup": ["gateway.engine.lookup"],
        "posture client": ["gateway.posture.client"],
        "posture store": ["gateway.posture.store"],
        "posture assessment": ["gateway.posture.assessment"],
    },
    {
        "server": ["gateway.server"],
        "admin": ["gateway.admin"],
        "engine service": ["gateway.engine.service"],
        "posture service": ["gateway.posture"],
    },
    {
        "top": [
            "gateway.__main__",
            "gateway.app",
            "gateway.building",
            "gateway.cli",
            "gateway.demo",
            "gateway.engine_client",
            "gateway.explain",
            "gateway.healthcheck",
            "gateway.overriding",
            "gateway.probe",
            "gateway.rehearsal",
            "gateway.replay",
            "gateway.supervisor",
            "gateway.terminal",
            "gateway.validation",
        ]
    },
]
PURE_ROW = 1
BELOW = {
    "protection": {"http"},
    "engine": {"protection", "http"},
    "config": {"errors", "package"},
    "metrics": {"errors", "package"},
    "logs": {"errors", "package"},
    "errors": {"package"},
}
"""Block -> the blocks of its own row that it may import."""

IMPURE = {
    "asyncio",
    "datetime",
    "logging",
    "os",
    "select",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "uvloop",
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["gateway", *path.relative_to(ROOT).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def place(module: str) -> tuple[int, str]:
    """(row, block) of a module; the longest prefix wins."""
    best: tuple[int, int, str] | None = None
    for row, blocks in enumerate(ROWS):
        for block, prefixes in blocks.items():
            for prefix in prefixes:
                exact = module == prefix
                if (exact or (prefix != "gateway" and module.startswith(prefix + "."))) and (
                    best is None or len(prefix) > best[0]
                ):
                    best = len(prefix), row, block
    assert best is not None, f"{module} stands in no row of the import table: put it into tests/test_imports.py"
    return best[1], best[2]


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """(imported module, only for type checkers), wherever in the file the statement stands."""
    tree = ast.parse(MODULES[module].read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively: from {'.' * node.level}{node.module or ''}"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module, node in for_types


def may_import(importer: str, imported: str) -> bool:
    (row, block), (other_row, other_block) = place(importer), place(imported)
    if row != other_row:
        return other_row < row
    return block == other_block or other_block in BELOW.get(block, set())


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_imports_go_down_only(module: str) -> None:
    upward = [name for name, _ in imports(module) if name in MODULES and not may_import(module, name)]
    assert upward == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if place(name)[0] == PURE_ROW))
def test_module_of_the_pure_row_has_no_socket_clock_log_or_environment(module: str) -> None:
    used = {name.partition(".")[0] for name, for_types in imports(module) if not for_types}
    assert used & IMPURE == set()
    assert not {name for name, _ in imports(module)} & {"gateway.logs", "gateway.metrics"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_name_says_what_it_holds(module: str) -> None:
    assert not set(module.split(".")) & FORBIDDEN_NAMES


def test_server_sees_a_checker_and_never_the_engine_or_the_policy() -> None:
    seen = {name for module in MODULES if module.startswith("gateway.server") for name, _ in imports(module)}
    assert not {name for name in seen if name.startswith("gateway.engine")}


def test_table_has_no_row_for_a_module_that_is_gone() -> None:
    optional = {"gateway.building", "gateway.rehearsal"}
    prefixes = [prefix for blocks in ROWS for names in blocks.values() for prefix in names]
    gone = {prefix for prefix in prefixes if not any((name + ".").startswith(prefix + ".") for name in MODULES)}
    assert gone <= optional


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("gateway.http.framing", "gateway.errors", True),
        ("gateway.http.framing", "gateway.protection.scope", False),
        ("gateway.protection.scope", "gateway.http.message", True),
        ("gateway.protection.scope", "gateway.protection.client", False),
        ("gateway.protection.client", "gateway.pool.pool", True),
        ("gateway.pool.pool", "gateway.protection.client", False),
        ("gateway.protection.client", "gateway.origin.server", False),
        ("gateway.engine.policy.judge", "gateway.protection.scope", True),
        ("gateway.engine.policy.judge", "gateway.engine.service", False),
        ("gateway.engine.api", "gateway.engine.store", False),
        ("gateway.engine.lookup.verifier", "gateway.engine.store", False),
        ("gateway.engine.service.part", "gateway.engine.policy.loading", True),
        ("gateway.server.site", "gateway.admin.service", False),
        ("gateway.metrics", "gateway.logs", False),
        ("gateway.app", "gateway.supervisor", True),
        ("gateway.server.site", "gateway.app", False),
    ],
)
def test_table_reads_as_the_architecture_says(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed
