"""The wheel holds the six packages, the bundled model, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.test_house import PACKAGES, ROOT


@pytest.mark.slow
def test_one_wheel_ships_the_six_packages_and_the_bundled_default(tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(asked, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {package.name for package in PACKAGES}
    for package in PACKAGES:
        assert f"{package.name}/py.typed" in names
    for file in ("model/model.safetensors", "model/tokenizer.json", "rows.jsonl", "README.md", "LICENSE-PSF.txt"):
        assert f"pegbox_runs/bundled/{file}" in names
    for file in ("pyproject.toml", "src/package/card.py", "src/package/half_torch.py", "tests/test_certified.py"):
        assert f"pegbox_methods/template/{file}.template" in names
    assert any(name.endswith("dashboard.tcss") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert wheel.stat().st_size < 10 * 2**20
