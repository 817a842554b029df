"""Weights from elsewhere: every tensor accounted for, the same network after it, hostile files refused."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from workbench.models.build import build
from workbench.models.foreign import laid, oddities, opened
from workbench.specs.errors import DataError
from workbench.specs.model import ModelSpec
from workbench.specs.presets import preset


class Theirs(nn.Module):
    """The CNN of many tutorials, with names and a batch norm of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc = nn.Linear(6 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.conv1(x)))
        return self.fc(torch.relu(self.conv2(x)).flatten(1))


LAYERS = [
    {"kind": "conv2d", "out_channels": 4, "kernel_size": 3}, {"kind": "batch_norm"}, {"kind": "relu"},
    {"kind": "conv2d", "out_channels": 6, "kernel_size": 3}, {"kind": "relu"}, {"kind": "flatten"},
    {"kind": "linear", "out_features": 10},
]  # fmt: skip
SHAPE = (1, 8, 8)


def ours(seed: int = 0) -> nn.Module:
    return build(ModelSpec.model_validate({"layers": LAYERS}), SHAPE, seed=seed)


def theirs() -> Theirs:
    torch.manual_seed(7)
    network = Theirs()
    for _ in range(3):
        network(torch.randn(8, *SHAPE))  # its norm has seen something
    return network.eval()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_tutorials_network_is_ours_with_equal_outputs(
    suffix: str, prefix: str, wrapped: bool, tmp_path: Path
) -> None:
    network = theirs()
    state = {prefix + name: value for name, value in network.state_dict().items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": state} if wrapped else state, path)
    model = ours()
    found = laid(opened(path), model.state_dict())
    assert {line.what for line in found.lines} == {"renamed"}
    model.load_state_dict(found.tensors)
    x = torch.randn(4, *SHAPE)
    with torch.no_grad():
        assert torch.equal(model.eval()(x), network(x))


def test_equal_names_go_first_and_the_rest_is_told() -> None:
    model = ours()
    given = {name: torch.full_like(value, 2) for name, value in model.state_dict().items()}
    given["6.weight"] = torch.ones(20, 96)  # another number of classes
    given["6.bias"] = torch.ones(20)
    given["teacher.weight"] = torch.ones(3)
    del given["3.bias"]
    found = laid(given, model.state_dict())
    what = {line.ours or line.theirs: line.what for line in found.lines}
    assert what["6.weight"] == what["6.bias"] == "misshapen"
    assert what["3.bias"] == "missing"
    assert what["teacher.weight"] == "superfluous"
    assert what["0.weight"] == what["1.running_mean"] == what["1.num_batches_tracked"] == "matched"
    assert set(found.tensors) == {name for name, kind in what.items() if kind == "matched"}


def test_numbers_in_half_precision_become_ours(tmp_path: Path) -> None:
    model = ours()
    half = {n: v.half() if v.is_floating_point() else v for n, v in theirs().state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    found = laid(opened(tmp_path / "half.safetensors"), model.state_dict())
    assert {t.dtype for t in found.tensors.values()} == {torch.float32, torch.int64}


names = st.text("abc.", min_size=1, max_size=4)
shapes = st.lists(st.integers(1, 3), max_size=2).map(tuple)
states = st.dictionaries(names, shapes, max_size=8)


@settings(deadline=None, max_examples=200, derandomize=True, database=None)
@given(states, states)
def test_every_tensor_stands_in_one_line_and_what_is_taken_fits(mine: Any, other: Any) -> None:
    own = {name: torch.zeros(shape) for name, shape in mine.items()}
    found = laid({name: torch.ones(shape) for name, shape in other.items()}, own)
    assert sorted(line.ours for line in found.lines if line.ours) == sorted(own)
    seen = [line.theirs for line in found.lines if line.theirs]
    assert len(seen) == len(set(seen)) == len(other)
    assert all(found.tensors[name].shape == own[name].shape for name in found.tensors)


def test_a_preset_takes_its_own_weights_by_name() -> None:
    spec = preset("vit-tiny").spec.model
    one, other = build(spec, (1, 28, 28), seed=0), build(spec, (1, 28, 28), seed=1)
    found = laid(one.state_dict(), other.state_dict())
    assert {line.what for line in found.lines} == {"matched"}


def test_numbers_that_are_none_are_told() -> None:
    told = oddities({"a": torch.tensor([1.0, float("nan")]), "b": torch.zeros(2, 2)})
    assert ["NaN" in told[0], "all zero" in told[1]] == [True, True]


# ---------------------------------------------------------------- hostile files


class Evil:
    """What a pickle can do: run a program when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


def archive(path: Path, compression: int, content: bytes) -> None:
    good = io.BytesIO()
    torch.save({"w": torch.ones(4)}, good)
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, content if entry.filename.endswith("data/0") else old.read(entry))


def hostile(kind: str, folder: Path) -> Path:
    path = folder / ("bad.safetensors" if "safetensors" in kind else "bad.pt")
    mark = folder / "ran"
    if kind == "a pickle that runs a program":
        path.write_bytes(pickle.dumps({"w": Evil(mark)}))
    elif kind == "a torch file that runs a program":
        torch.save({"w": Evil(mark)}, path)
    elif kind == "a whole module":
        torch.save(Theirs(), path)
    elif kind == "an archive that unfolds":
        archive(path, zipfile.ZIP_DEFLATED, bytes(200_000_000))
    elif kind == "records of another size":
        archive(path, zipfile.ZIP_STORED, b"12")
    elif kind == "a cut-off file":
        torch.save({"w": torch.ones(1000)}, path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "an empty file":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("these are no weights")
    elif kind == "a list":
        torch.save([torch.ones(2)], path)
    elif kind == "an empty mapping":
        torch.save({}, path)
    elif kind == "whole numbers":
        torch.save({"w": torch.ones(2, dtype=torch.int8)}, path)
    elif kind == "a tensor that claims more than it has":
        torch.save({"w": torch.ones(1).expand(100_000, 100_000)}, path)
    elif kind == "a sparse tensor":
        torch.save({"w": torch.eye(3).to_sparse()}, path)
    elif kind == "safetensors with a huge header":
        path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    elif kind == "safetensors cut off":
        save_file({"w": torch.ones(1000)}, path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "safetensors of whole numbers":
        save_file({"w": torch.ones(2, dtype=torch.int8)}, path)
    elif kind == "safetensors with overlapping tensors":
        entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        blob = json.dumps({"a": entry, "b": entry}).encode()
        path.write_bytes(struct.pack("<Q", len(blob)) + blob + bytes(8))
    elif kind == "safetensors that claim a vast shape":
        entry = {"dtype": "F32", "shape": [100_000, 100_000], "data_offsets": [0, 8]}
        blob = json.dumps({"a": entry}).encode()
        path.write_bytes(struct.pack("<Q", len(blob)) + blob + bytes(8))
    elif kind == "safetensors that are a pickle":
        path.write_bytes(pickle.dumps({"w": Evil(mark)}))
    return path


HOSTILE = [
    "a pickle that runs a program", "a torch file that runs a program", "a whole module",
    "an archive that unfolds", "records of another size", "a cut-off file", "an empty file", "text", "a list",
    "an empty mapping", "whole numbers", "a tensor that claims more than it has", "a sparse tensor",
    "safetensors with a huge header", "safetensors cut off", "safetensors of whole numbers",
    "safetensors with overlapping tensors", "safetensors that claim a vast shape",
    "safetensors that are a pickle", "no file",
]  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_words_and_nothing_runs(kind: str, tmp_path: Path) -> None:
    path = hostile(kind, tmp_path)
    with pytest.raises(DataError) as refusal:
        opened(path)
    problem = refusal.value.problems[0]
    assert problem.fact
    assert problem.repair
    assert "weights_only" not in problem.fact  # torch's own advice is how to run the objects all the same
    assert "\x1b" not in problem.fact
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["weights.bin", "weights.pkl", "weights.h5", "weights"])
def test_other_kinds_of_files_are_not_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(DataError, match="weights are read from"):
        opened(tmp_path / name)
    assert not (tmp_path / "ran").exists()
