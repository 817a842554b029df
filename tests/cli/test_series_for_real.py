"""A series from its file to its forecast, as a person types it, in processes of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.test_for_real import Shell
from tests.processes import living_home

pytestmark = pytest.mark.slow
WINDOW = ["data.name=shop", "data.series.look_back=28", "data.series.horizon=7", "training.epochs=5"]


def sets(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def test_a_series_from_its_file_to_its_forecast(tmp_path: Path) -> None:
    days = pd.date_range("2023-01-01", periods=300)
    at = np.arange(300)
    sales = (100 + 20 * np.sin(2 * np.pi * at / 7) + at / 10).round(3)
    frame = pd.DataFrame({"day": days, "sales": sales, "visits": (50 + 5 * np.cos(at / 5)).round(3)})
    frame.to_csv(tmp_path / "shop.csv", index=False)
    with living_home(tmp_path / "home") as store:
        shell = Shell(store)
        added = json.loads(shell("data", "add", str(tmp_path / "shop.csv"), "--json").stdout)
        assert (added["kind"], added["task"], added["rows"]) == ("series", "forecasting", 300)

        wrong = shell("check", "dlinear", *sets(*WINDOW), "--json")
        assert wrong.returncode == 2
        (problem,) = json.loads(wrong.stdout)["problems"]
        assert "7" in problem["fix"]["label"]
        mended = sets(*WINDOW, "model.layers.0.out_steps=7")
        right = shell("check", "dlinear", *mended, "--json")
        assert right.returncode == 0, right.stdout

        trained = shell("train", "dlinear", *mended)
        assert trained.returncode == 0, trained.stderr
        name = trained.stdout.splitlines()[0]
        found = json.loads(shell("evaluate", name, "--json").stdout)
        assert found["report"]["floors"].keys() == {"persistence", "seasonal"}
        assert len(found["report"]["steps"]["mae"]) == 7

        (told,) = json.loads(shell("predict", name, "--json").stdout)
        assert told["variates"] == ["sales", "visits"]
        assert np.shape(told["prediction"]) == np.shape(told["low"]) == (7, 2)
        assert (told["times"][0][:10], told["times"][-1][:10]) == ("2023-10-28", "2023-11-03")
        frame.assign(day=days + pd.Timedelta(days=70)).to_csv(tmp_path / "later.csv", index=False)
        (later,) = json.loads(shell("predict", name, str(tmp_path / "later.csv"), "--json").stdout)
        assert later["times"][0][:10] == "2024-01-06"
        np.testing.assert_allclose(later["prediction"], told["prediction"], rtol=1e-4)
        frame.drop(index=range(100, 120)).to_csv(tmp_path / "holed.csv", index=False)
        holed = json.loads(shell("evaluate", name, "--data", str(tmp_path / "holed.csv"), "--json").stdout)
        assert holed["metrics"]["loss"] == pytest.approx(holed["metrics"]["scaled_mse"], rel=1e-3)
        assert any("20 steps are missing in 1 place" in row for row in holed["repairs"])
