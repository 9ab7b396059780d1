"""The README says what the code does: its tables, commands, examples and paths are held against it.

A table that is out of date makes its test print the one that belongs between the two comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import app, engine_app
from gateway.config import load_config, settings_table
from gateway.metrics import FAILURE_REASONS, OUTCOMES, metrics_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")

# What a checkout has at its top: the first segment of every path that the README names.
TOP = "config|docs|gateway|loadtests|tests"
CHANGE_KINDS = ("Security", "Removed", "Deprecated", "Added", "Changed", "Fixed")


def markdown_table(titles: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table; a pipe in a cell would end it, so it is escaped."""
    lines = [titles, ("---",) * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings_rows() -> Iterator[tuple[str, ...]]:
    for key, default, meaning in settings_table():
        yield f"`{key}`", default if default == "required" else f"`{default}`", meaning


def metrics_rows() -> Iterator[tuple[str, ...]]:
    for name, kind, labels, meaning in metrics_table():
        yield f"`{name}`", kind, " ".join(f"`{label}`" for label in labels), meaning


def between(text: str, name: str) -> str:
    """What stands between `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    assert found is not None, f"README.md has no <!-- {name} --> ... <!-- /{name} -->"
    return found[1].strip("\n")


def section(title: str) -> str:
    """The text of one `## title`, up to the next one."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README.md has no section {title!r}"
    return found[1]


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def anchors() -> set[str]:
    """The anchors of the headings, as code hosts make them."""
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("settings", markdown_table(("key", "default", "meaning"), settings_rows())),
        ("metrics", markdown_table(("name", "type", "labels", "meaning"), metrics_rows())),
    ],
    ids=["settings", "metrics"],
)
def test_readme_table_is_what_the_code_says(name: str, expected: str) -> None:
    if between(README, name) != expected:  # `assert a == b` would show a difference, not the table to paste
        pytest.fail(f"what belongs between <!-- {name} --> and <!-- /{name} -->:\n\n{expected}\n", pytrace=False)


def command_names() -> set[str]:
    """`run`, `engine`, `engine check`, ..."""
    names = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    return names | {"engine", "posture"} | {f"engine {command.name}" for command in engine_app.registered_commands}


def test_readme_commands_names_every_command_and_no_other() -> None:
    named = re.findall(r"^\| `gateway ((?:engine )?[a-z]+)", section("Commands"), re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) == command_names()


def test_readme_code_uses_only_commands_that_exist() -> None:
    used = set(re.findall(r"(?:^|[ /`])gateway ([a-z]+)(?= |$|`)", "\n".join(code_blocks("sh")), re.MULTILINE))
    assert used and used <= command_names()


def test_readme_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_readme_explains_every_outcome() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section("How decisions are enforced"), re.MULTILINE)) == set(OUTCOMES)


def test_readme_explains_every_reason_of_a_failed_check() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", section("How failures are handled"), re.MULTILINE)) == set(FAILURE_REASONS)


def test_readme_links_and_paths_exist() -> None:
    links = set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))
    in_code = set(re.findall(rf"`((?:{TOP})/[\w./-]*)`", README))
    in_blocks = set(re.findall(rf"(?<![\w/.-])((?:{TOP})/[\w./-]+\.\w+)", "\n".join(code_blocks("sh"))))
    named = links | in_code | in_blocks
    assert "config/datadome.yaml" in named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_readme_anchors_exist() -> None:
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= anchors()


def test_readme_source_tree_names_every_module_of_the_package() -> None:
    package = ROOT / "gateway"
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    expected = modules | {f"{path.parent.relative_to(package)}/" for path in package.glob("*/__init__.py")}
    expected |= {f"engine/{path.parent.name}/" for path in package.glob("engine/*/__init__.py")}
    assert set(re.findall(r"`gateway/([\w.]+/?(?:\w+/)?)`", section("The source tree"))) == expected


@pytest.mark.parametrize("text", code_blocks("yaml"), ids=lambda text: text.partition("\n")[0][:40])
def test_readme_yaml_example_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"\$\{(\w+)\}", text):
        monkeypatch.setenv(name, "a-key")
    monkeypatch.chdir(ROOT)  # examples name files of the checkout
    file = tmp_path / "example.yaml"
    file.write_text(text)
    load_config(file)


def test_changelog_names_the_version_and_keeps_the_order_of_kinds() -> None:
    from gateway import __version__

    assert re.search(rf"^## {re.escape(__version__)} ", CHANGELOG, re.MULTILINE)
    for version in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert kinds == [kind for kind in CHANGE_KINDS if kind in kinds]
