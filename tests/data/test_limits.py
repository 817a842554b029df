"""Limits are settings: read from the environment, refused with the name when they make no sense."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tests.data.made import encoded, folder, pixels, png, row_of, two_classes
from workbench.data import Limits, prepare
from workbench.data.limits import GIB, MIB
from workbench.specs.errors import DataError


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_can_be_set(name: str) -> None:
    limits = Limits.from_environment({f"WORKBENCH_LIMIT_{name.upper()}": "77", "PATH": "x"})
    assert getattr(limits, name) == 77
    assert limits == Limits(**{name: 77})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8GiB", 8 * GIB),
        ("8 gb", 8 * GIB),
        ("64 MiB", 64 * MIB),
        ("200_000", 200_000),
        ("1,000", 1000),
        ("2k", 2048),
    ],
)
def test_amounts_as_people_write_them(text: str, value: int) -> None:
    assert Limits.from_environment({"WORKBENCH_LIMIT_BYTES": text}).bytes == value


@pytest.mark.parametrize("text", ["", "0", "-5", "many", "1.5GiB", "9" * 400, "4 PiB", "0x10", "١٢"])
def test_amounts_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="WORKBENCH_LIMIT_FILES: a limit is a whole number"):
        Limits.from_environment({"WORKBENCH_LIMIT_FILES": text})


def test_an_unknown_limit_comes_with_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean `WORKBENCH_LIMIT_PIXELS`"):
        Limits.from_environment({"WORKBENCH_LIMIT_PIXEL": "3"})


def test_an_import_heeds_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_LIMIT_FILES", "5")
    with pytest.raises(DataError, match="at most 5 files"):
        prepare(folder(tmp_path / "s", two_classes(9)), tmp_path / "out")


def test_an_image_that_needs_more_memory_than_allowed_is_refused(tmp_path: Path) -> None:
    files = two_classes(2) | {"dog/big.bmp": encoded(pixels(1, 300, 300), "BMP"), "dog/s.png": png(5)}
    prepared = prepare(folder(tmp_path / "s", files), tmp_path / "out", limits=Limits(memory=500_000))
    assert "of memory allowed" in row_of(prepared, "dog/big.bmp")[1]
    assert prepared.rows == {"train": 5}
