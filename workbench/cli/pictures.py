"""Answers that are pictures, for the terminal: in words, and as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from workbench.cli.terminal import print_json
from workbench.specs.errors import DataError


def say_pictures(found: Sequence[Mapping[str, Any]], output: Path | None, as_json: bool) -> None:
    """Print what was answered, and write the pictures: a mask or reconstruction per input, new ones as one
    sheet. output: a PNG, or a folder for several; in the working folder where none."""
    written = _write(found, output)
    if as_json:
        keys = ("input", "shares", "mse", "repairs")
        told = [{key: item[key] for key in keys if key in item} for item in found]
        print_json([{**item, "file": str(path)} for item, path in zip(told, written, strict=True)])
        return
    for item, path in zip(found, written, strict=True):
        if "shares" in item:
            parts = "  ".join(f"{name} {share:.1%}" for name, share in item["shares"].items() if share > 0)
            print(f"{item['input']}: {parts}   ({path})")
        elif "mse" in item:
            print(f"{item['input']}: mean squared difference {item['mse']:.5f}   ({path})")
    if found and "shares" not in found[0] and "mse" not in found[0]:
        print(f"{len(found)} pictures in {written[0]}")


def _write(found: Sequence[Mapping[str, Any]], output: Path | None) -> list[Path]:
    from workbench.figures.masks import decoded, grid, indexed

    if not found:
        return []
    if "shares" not in found[0] and "mse" not in found[0]:
        path = output or Path("samples.png")
        path = path / "samples.png" if path.is_dir() else path
        _put(path, grid([decoded(item["made"]) for item in found], enlarged=2))
        return [path] * len(found)
    paths = []
    for item in found:
        word, kind = ("mask", "mask") if "mask" in item else ("made", "reconstruction")
        own = f"{PurePath(item['input']).stem}-{kind}.png"
        path = (
            output
            if output is not None and len(found) == 1 and not output.is_dir()
            else (output or Path()) / own
        )
        picture = decoded(item[word])
        width, height = item["size"]
        _put(path, indexed(picture, (width, height)) if word == "mask" else grid([picture]))
        paths.append(path)
    return paths


def _put(path: Path, blob: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob)
    except OSError as error:
        raise DataError.of(
            str(path), "the picture must be written", error.strerror or str(error), "Choose another path."
        ) from None
