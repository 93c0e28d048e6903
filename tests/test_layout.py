"""The README's tree of folders is the real one, and heavy dependencies load only when needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Packages that `import pellucid` leaves alone: slow to load, or not installed everywhere.
LOADED_WHEN_NEEDED = (
    "llvmlite",
    "sklearn",
    "scipy",
    "pandas",
    "click",
    "rich",
    "matplotlib",
    "PIL",
    "sympy",
    "optuna",
    "polars",
    "torch",
    "jax",
)


def documented_paths(readme: str) -> set[str]:
    """Return the paths in the fenced block after `## Layout`; a folder's path ends with a slash.

    A line is a name and a remark; indentation (spaces or box-drawing) says what lies in what.
    """
    block = re.search(r"^## Layout$.*?^```\w*\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert block, "README.md has no fenced block after the heading '## Layout'"
    paths = set()
    parents: list[tuple[int, str]] = []  # (indentation, path) of the folders around this line
    for line in block[1].splitlines():
        name = re.search(r"[\w.][\w./-]*", line)
        if name is None:
            continue
        while parents and parents[-1][0] >= name.start():
            parents.pop()
        path = (parents[-1][1] if parents else "") + name[0]
        paths.add(path)
        if path.endswith("/"):
            parents.append((name.start(), path))
    return paths


def real_folders() -> set[str]:
    """Return the top-level folders and packages of `pellucid` with a file that git would keep."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout: generated folders cannot be told from real ones")
    folders = set()
    for file in listing.stdout.splitlines():
        parts = file.split("/")[:-1]
        if parts and (ROOT / file).exists():
            folders.add(f"{parts[0]}/")
            if parts[0] == "pellucid" and len(parts) > 1:
                folders.add(f"{parts[0]}/{parts[1]}/")
    return folders


def test_tree_in_readme_is_the_real_one():
    documented = documented_paths((ROOT / "README.md").read_text(encoding="utf-8"))
    absent = sorted(path for path in documented if not (ROOT / path).exists())
    assert not absent, f"README.md lists what does not exist: {absent}"
    visible = {folder for folder in real_folders() if not folder.startswith(".")}
    assert not visible - documented, f"README.md lacks: {sorted(visible - documented)}"


def test_tree_is_read_with_spaces_and_with_lines():
    spaces = "## Layout\n\n```\na/     what a holds\n  b/   and b/c\n    d.py\ne.md\n```\n"
    lines = "## Layout\n```text\na/\n├── b/   x\n│   └── d.py\ne.md\n```\n"
    assert documented_paths(spaces) == {"a/", "a/b/", "a/b/d.py", "e.md"}
    assert documented_paths(lines) == documented_paths(spaces)


def test_import_loads_no_heavy_dependency():
    code = "import json, sys, pellucid; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & set(LOADED_WHEN_NEEDED)
