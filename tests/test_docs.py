"""The documents speak of the product as it is: tree, layers, presets, commands, targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.run import BENCHMARKS
from workbench.specs.layers import LAYERS
from workbench.specs.presets import PRESETS

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")
TREE = README.split("## Where things are")[1].split("```")[1]


def listed() -> list[str]:
    """Paths of the tree in the README, relative to the repository."""
    paths, parent = [], ""
    for line in TREE.strip().splitlines():
        name = line.split()[0]
        if line.startswith("  "):
            paths.append(parent + name)
        else:
            parent = name
            paths.append(name)
    return paths


@pytest.mark.parametrize("path", listed())
def test_what_the_tree_lists_exists(path: str) -> None:
    assert (REPO / path).exists()


def test_every_room_stands_in_the_tree() -> None:
    rooms = {f"workbench/{p.name}/" for p in (REPO / "workbench").iterdir() if (p / "__init__.py").exists()}
    files = {f"workbench/{p.name}" for p in (REPO / "workbench").glob("*.py") if p.name != "__init__.py"}
    assert rooms | files <= set(listed())


def test_the_first_screen_gives_the_two_commands() -> None:
    first = README.splitlines()[:12]
    assert any(line.startswith("make run") for line in first)
    assert any(line.startswith("make test") for line in first)
    assert any(line.startswith("![") for line in first)


@pytest.mark.parametrize("target", re.findall(r"^make ([a-z]+)", README, re.M))
def test_the_named_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (REPO / "Makefile").read_text(encoding="utf-8"), re.M)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_the_readme_links_lead_somewhere(link: str) -> None:
    assert (REPO / link).exists()


def test_every_decision_stands_in_their_list() -> None:
    folder = REPO / "docs" / "adr"
    told = re.findall(r"\]\((\d{4}-[^)]+)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert told == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize(("page", "room"), [("engine", "engine"), ("stream", "live")])
def test_the_files_that_a_page_lists_exist(page: str, room: str) -> None:
    table = [line for line in (REPO / "docs" / f"{page}.md").read_text(encoding="utf-8").splitlines()
             if line.startswith("| `")]  # fmt: skip
    names = [name for line in table for name in re.findall(r"`([\w/]+\.(?:py|js))`", line.split("|")[1])]
    known = {path.name for path in (REPO / "workbench" / room).rglob("*.*")}
    assert len(names) > 15
    assert [name for name in names if name.rpartition("/")[2] not in known] == []


@pytest.mark.parametrize("name", [*LAYERS, *PRESETS])
def test_every_layer_and_preset_is_documented(name: str) -> None:
    assert f"`{name}`" in (REPO / "docs" / "models.md").read_text(encoding="utf-8")


def test_every_command_is_documented() -> None:
    from typer.main import get_command

    from workbench.cli.main import app

    text = (REPO / "docs" / "cli.md").read_text(encoding="utf-8")
    command = get_command(app)
    names = list(command.commands)  # type: ignore[attr-defined]
    spoken = set(re.findall(r"[a-z][a-z-]*", " ".join(re.findall(r"^workbench (.*)", text, re.M))))
    assert len(names) > 15
    assert [name for name in names if name not in spoken] == []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_figures(name: str) -> None:
    assert (REPO / "benchmarks" / f"{name}.py").exists()
    assert (REPO / "benchmarks" / "results" / f"{name}.json").exists(), (
        f"run: python -m benchmarks.run {name}"
    )


def test_no_machine_path_or_secret_is_in_the_repository() -> None:
    import subprocess

    pattern = r"/(root|home/[a-z]+)/|/work/(main|shared)|api[_-]?key *="
    found = subprocess.run(
        ["git", "grep", "-nIE", pattern, "--", ".", ":!tests/test_docs.py"],
        cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""


def test_the_screenshots_are_those_that_the_command_makes() -> None:
    from benchmarks.shots import ALL, LOOKS, listing

    assert (REPO / "docs" / "screenshots.md").read_text(encoding="utf-8") == listing()
    made = {path.name for path in (REPO / "docs" / "screenshots").iterdir()}
    assert made == {f"{shot.name}{mark}.webp" for shot in ALL for mark in LOOKS}
    assert sum(path.stat().st_size for path in (REPO / "docs" / "screenshots").iterdir()) < 9_000_000
