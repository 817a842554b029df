"""NumPy files: whatever way images and labels lie in them, they come out exactly, or with a reason."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.made import folder, pixels, row_of, tarred, zipped
from workbench.data import load, prepare
from workbench.data.prepared import open_arrays, read_groups
from workbench.specs.data import DataSpec
from workbench.specs.errors import DataError

N = 12
GREY = np.stack([pixels(i, 8, 6, 1) for i in range(N)])  # (12, 8, 6)
GREY[0, 0, :2] = 0, 255  # the whole range, so that 8 bits are told from fewer
RGB = np.stack([pixels(i, 8, 6) for i in range(N)])  # (12, 8, 6, 3)
Y = np.arange(N) % 3


def npy(array: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


def npz(path: Path, pack: bool = False, **arrays: np.ndarray) -> Path:
    (np.savez_compressed if pack else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


def prepared_of(at: Path, **arrays: np.ndarray) -> tuple[Any, Any]:
    prepared = prepare(npz(at / "s.npz", **arrays), at / "out")
    return prepared, open_arrays(at / "out")


# ---------------------------------------------------------------- how it may be packed

PACKS: dict[str, Callable[[Path, dict[str, np.ndarray]], Path]] = {
    "npz": lambda at, a: npz(at / "s.npz", **a),
    "packed npz": lambda at, a: npz(at / "s.npz", pack=True, **a),
    "folder of npy": lambda at, a: folder(at / "s", {f"{k}.npy": npy(v) for k, v in a.items()}),
    "zip of npy": lambda at, a: zipped(at / "s.zip", {f"deep/{k}.npy": npy(v) for k, v in a.items()}),
    "tar of npy": lambda at, a: tarred(at / "s.tgz", {f"{k}.npy": npy(v) for k, v in a.items()}),
    "npz in a folder with a readme": lambda at, a: (
        npz(folder(at / "s", {"README.md": b"hello"}) / "set.npz", **a).parent
    ),
}


@pytest.mark.parametrize("names", [("x_train", "x_test"), ("images",), ("arr_0",), ("faces",)])
def test_images_alone_are_a_set_without_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    parts = np.split(RGB, len(names))
    prepared, arrays = prepared_of(tmp_path, **dict(zip(names, parts, strict=True)))
    assert (prepared.schema.classes, prepared.schema.task) == ((), "reconstruction")
    np.testing.assert_array_equal(arrays.images, RGB.transpose(0, 3, 1, 2))
    assert any("without classes" in row["reason"] for row in prepared.report)


@pytest.mark.parametrize("pack", PACKS)
def test_a_quadruple_comes_out_pixel_for_pixel(pack: str, tmp_path: Path) -> None:
    arrays = {"x_train": RGB[:8], "y_train": Y[:8], "x_test": RGB[8:], "y_test": Y[8:]}
    prepared = prepare(PACKS[pack](tmp_path, arrays), tmp_path / "out")
    stored = open_arrays(tmp_path / "out")
    assert prepared.rows == {"train": 8, "test": 4}
    assert np.array_equal(stored.images, RGB.transpose(0, 3, 1, 2))
    assert stored.labels.tolist() == Y.tolist()
    assert prepared.schema.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("X", "Y"),
        ("x", "y"),
        ("images", "labels"),
        ("image", "label"),
        ("data", "target"),
        ("imgs", "targets"),
        ("train_images", "train_labels"),
        ("trainImages", "trainLabels"),
        ("X_train", "y_train"),
        ("xtrain", "ytrain"),
        ("train_x", "train_y"),
        ("mnist_x", "mnist_image_labels"),
        ("arr_0", "arr_1"),
        ("first", "second"),
    ],
)
def test_usual_names_are_understood(images: str, labels: str, tmp_path: Path) -> None:
    prepared, stored = prepared_of(tmp_path, **{labels: Y, images: GREY})
    assert prepared.rows == {"train": N}
    assert np.array_equal(stored.images[:, 0], GREY)
    assert stored.labels.tolist() == Y.tolist()


def test_three_splits_as_medical_sets_come(tmp_path: Path) -> None:
    parts = {"train": slice(0, 6), "val": slice(6, 9), "test": slice(9, 12)}
    arrays = {f"{k}_images": RGB[s] for k, s in parts.items()} | {
        f"{k}_labels": Y[s, None] for k, s in parts.items()
    }
    assert prepared_of(tmp_path, **arrays)[0].rows == {"train": 6, "validation": 3, "test": 3}


def test_a_pair_of_files_beside_each_other(tmp_path: Path) -> None:
    """As the sign-language digits are published: X.npy of floats, Y.npy one-hot."""
    at = folder(tmp_path / "s", {"X.npy": npy(GREY.astype(np.float32) / 255), "Y.npy": npy(np.eye(3)[Y])})
    prepared = prepare(at / "X.npy", tmp_path / "out")
    stored = open_arrays(tmp_path / "out")
    assert np.array_equal(stored.images[:, 0], GREY)
    assert stored.labels.tolist() == Y.tolist()
    assert "one-hot" in row_of(prepared, "Y.npy")[1]


# ---------------------------------------------------------------- how it may lie

FORMS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "(N, H, W)": (GREY, GREY[:, None]),
    "(N, H, W, 1)": (GREY[..., None], GREY[:, None]),
    "(N, 1, H, W)": (GREY[:, None], GREY[:, None]),
    "(N, H, W, 3)": (RGB, RGB.transpose(0, 3, 1, 2)),
    "(N, 3, H, W)": (RGB.transpose(0, 3, 1, 2), RGB.transpose(0, 3, 1, 2)),
    "column order": (np.asfortranarray(RGB), RGB.transpose(0, 3, 1, 2)),
    "opaque RGBA": (
        np.concatenate([RGB, np.full((*RGB.shape[:3], 1), 255, np.uint8)], 3),
        RGB.transpose(0, 3, 1, 2),
    ),
    "floats 0 to 1": (GREY / 255, GREY[:, None]),
    "half floats 0 to 255": (GREY.astype(np.float16), GREY[:, None]),
    "floats 0 to 255": (GREY.astype(np.float64), GREY[:, None]),
    "floats -1 to 1": (GREY / 127.5 - 1, GREY[:, None]),
    "big-endian 16 bits": ((GREY.astype(">u2") * 257), GREY[:, None]),
    "long integers": (GREY.astype(np.int64), GREY[:, None]),
    "truths": (GREY > 99, np.where(GREY > 99, 255, 0)[:, None]),
    "bytes of 0 and 1": ((GREY > 99).astype(np.uint8), np.where(GREY > 99, 255, 0)[:, None]),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_usual_form_comes_out_as_the_same_bytes(form: str, tmp_path: Path) -> None:
    given, expected = FORMS[form]
    _, stored = prepared_of(tmp_path, images=given, labels=Y)
    assert np.array_equal(stored.images, expected)


@pytest.mark.parametrize(("side", "channels"), [(28, 1), (8, 3)])
def test_flat_rows_are_folded(side: int, channels: int, tmp_path: Path) -> None:
    flat = np.random.default_rng(0).integers(0, 256, (N, channels * side * side), dtype=np.uint8)
    prepared, stored = prepared_of(tmp_path, data=flat, target=Y)
    assert np.array_equal(stored.images, flat.reshape(N, channels, side, side))
    assert any("folded" in r["reason"] for r in prepared.report if r["file"] == "data.npy")


def test_twelve_bits_keep_their_proportions(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 16
    deep[0, 0, 0] = 4095
    _, stored = prepared_of(tmp_path, images=deep, labels=Y)
    assert np.abs(stored.images[:, 0].astype(float) - deep / 4095 * 255).max() <= 0.5


def test_one_scale_serves_all_splits(tmp_path: Path) -> None:
    """A test split whose brightest pixel is 0.5 must not come out brighter than it was."""
    x, u = GREY[:6] / 255, GREY[6:] / 510
    _, stored = prepared_of(tmp_path, x_train=x, y_train=Y[:6], x_test=u, y_test=Y[6:])
    assert np.abs(stored.images[6:, 0].astype(float) - u * 255).max() <= 0.5


LABELS: dict[str, np.ndarray] = {
    "(N, 1)": Y[:, None],
    "one-hot": np.eye(3)[Y],
    "one-hot truths": np.eye(3, dtype=bool)[Y],
    "floats": Y.astype(float),
    "bytes": Y.astype(np.uint8),
    "big-endian": Y.astype(">i4"),
}


@pytest.mark.parametrize("form", LABELS)
def test_any_usual_form_of_labels(form: str, tmp_path: Path) -> None:
    prepared, stored = prepared_of(tmp_path, images=GREY, labels=LABELS[form])
    assert stored.labels.tolist() == Y.tolist()
    assert prepared.schema.classes == ("0", "1", "2")


@pytest.mark.parametrize("kind", ["U10", "S10"])
def test_labels_of_text_name_the_classes(kind: str, tmp_path: Path) -> None:
    words = np.array(["owl", "bee", " cat "])[Y].astype(kind)
    prepared, stored = prepared_of(tmp_path, images=GREY, labels=words)
    assert prepared.schema.classes == ("bee", "cat", "owl")
    assert stored.labels.tolist() == np.array([2, 0, 1])[Y].tolist()


def test_labels_that_skip_and_go_below_zero(tmp_path: Path) -> None:
    prepared, stored = prepared_of(tmp_path, images=GREY, labels=np.array([-1, 7, 100])[Y])
    assert prepared.schema.classes == ("-1", "7", "100")
    assert stored.labels.tolist() == Y.tolist()


def test_names_of_classes_are_used(tmp_path: Path) -> None:
    names = np.array(["ant", "bee", "cat"])
    assert prepared_of(tmp_path, images=GREY, labels=Y, class_names=names)[0].schema.classes == tuple(names)


def test_groups_come_along(tmp_path: Path) -> None:
    prepared_of(tmp_path, images=GREY, labels=Y, subject=np.repeat(["p9", "p10", "p11", "p12"], 3))
    groups = read_groups(tmp_path / "out")
    assert groups is not None
    assert len(set(groups)) == 4
    data = load(tmp_path / "out", DataSpec(name="s", groups="given", test=0.25, validation=0.3))
    held = [set(groups[part.index]) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, held)) == len(set.union(*held)) == 4


# ---------------------------------------------------------------- what is awkward


class Evil:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("touch evil",)


def header(text: str, data: bytes = b"\0" * 5000) -> bytes:
    """An .npy file with any header."""
    body = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + data


def shape(dims: str, descr: str = "'|u1'") -> bytes:
    return header("{'descr': %s, 'fortran_order': False, 'shape': %s, }" % (descr, dims))  # noqa: UP031


NAN = (GREY / 255).astype(np.float32)
NAN[4, 0, 0], NAN[7, 1, 1] = np.nan, np.inf

# What cannot be a set: the fact that the error names.
WHOLE: dict[str, tuple[dict[str, np.ndarray | bytes], str]] = {
    "images beside what may be their labels": ({"x_train": GREY, "verdict": Y}, "come in pairs"),
    "labels without images": ({"y_train": Y, "y_test": Y}, "holds neither"),
    "a split without labels": ({"x_train": GREY, "y_train": Y, "x_test": GREY}, "for test and no labels"),
    "fewer labels": ({"x": GREY, "y": Y[:5]}, "12 images and 5 labels"),
    "images last": ({"x": GREY.transpose(1, 2, 0), "y": Y}, "the images' last axis"),
    "objects": ({"x": npy(np.array([[Evil()], [1]], object)), "y": Y}, "Python objects"),
    "an object array of images": (
        {"x": npy(np.array([GREY[0], GREY[1, :4]], dtype=object)), "y": Y[:2]},
        "Python objects",
    ),
    "a pickle called npy": ({"x.npy": b"\x80\x04cos\nsystem\n.", "y": Y}, "holds neither"),
    "records": ({"x": np.zeros(4, [("a", "i4")]), "y": Y[:4]}, "neither numbers nor text"),
    "complex": ({"x": GREY + 1j, "y": Y}, "neither numbers nor text"),
    "dates": ({"x": GREY, "y": Y.astype("datetime64[D]")}, "neither numbers nor text"),
    "header that runs code": (
        {"x": header("{'descr': __import__('os').system('touch evil'), 'shape': (1,)}"), "y": Y},
        "not that of a NumPy file",
    ),
    "header without end": ({"x": header("{" * 100), "y": Y}, "not that of a NumPy file"),
    "version 9": ({"x": b"\x93NUMPY\x09\x00" + b"\0" * 200, "y": Y}, "not that of a NumPy file"),
    "negative shape": ({"x": shape("(-4, 8, 8)"), "y": Y}, "neither"),
    "terabytes declared": ({"x": shape("(4000000, 9999, 9999)"), "y": Y}, "it ends before"),
    "ends early": ({"x": npy(GREY)[:-9], "y": Y}, "it ends before"),
    "no images": ({"x": GREY[:0], "y": Y[:0]}, "it is (0, 8, 6)"),
    "no pixels": ({"x": GREY[:, :0], "y": Y}, "it is (12, 0, 6)"),
    "five axes": ({"x": RGB[None].repeat(12, 0), "y": Y}, "it is (12, 12, 8, 6, 3)"),
    "seven channels": ({"x": np.zeros((N, 7, 9, 8), np.uint8), "y": Y}, "it is (12, 7, 9, 8)"),
    "rows of no square": ({"x": np.zeros((N, 785), np.uint8), "y": Y}, "it is (12, 785)"),
    "images of text": ({"x": np.full((N, 3), "a"), "y": Y}, "it holds neither"),
    "measured values": ({"x": GREY, "y": Y + 0.5}, "it holds 0.5"),
    "soft labels": ({"x": GREY, "y": np.full((N, 3), 1 / 3)}, "not one 1 among zeros"),
    "several labels": ({"x": GREY, "y": np.ones((N, 3))}, "not one 1 among zeros"),
    "labels like images": ({"x": GREY, "y": GREY}, "labels are (N,)"),
    "all labels missing": ({"x": GREY, "y": np.full(N, np.nan)}, "not one could be read"),
    "one class": ({"x": GREY, "y": Y * 0}, "at least two classes"),
    "one class of text": ({"x": GREY, "y": np.full(N, "cat")}, "only `cat`"),
    "splits of two shapes": (
        {"x_train": GREY, "y_train": Y, "x_test": GREY[:, :4], "y_test": Y},
        "one shape",
    ),
    "text here and numbers there": (
        {"x_train": GREY, "y_train": Y, "x_test": GREY, "y_test": Y.astype("U2")},
        "some arrays hold the one",
    ),
    "too few names": ({"x": GREY, "y": Y, "class_names": np.array(["a", "b"])}, "2 names"),
    "all images of NaN": ({"x": GREY * np.nan, "y": Y}, "not one could be read"),
    "scalars": ({"x": np.float32(1), "y": Y}, "holds neither"),
    "names that tell nothing": (
        {"alpha": GREY, "beta": Y, "gamma": Y},
        "neither can be told",
    ),
}  # fmt: skip


@pytest.mark.parametrize("pack", ["npz", "folder"])
@pytest.mark.parametrize("case", WHOLE)
def test_arrays_that_cannot_be_a_set_are_refused_as_a_whole(case: str, pack: str, tmp_path: Path) -> None:
    arrays, fact = WHOLE[case]
    files = {
        k if "." in k else f"{k}.npy": v if isinstance(v, bytes) else npy(np.asarray(v))
        for k, v in arrays.items()
    }
    at = folder(tmp_path / "in", {})
    at.mkdir()
    source = folder(at / "s", files) if pack == "folder" else zipped(at / "s.npz", files)
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out")
    assert fact in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
    assert not Path("evil").exists()


# What is left out or mended, and the rest kept: the file in the report, and the reason.
MENDED: dict[str, tuple[dict[str, np.ndarray], str, str, int]] = {
    "images with NaN": ({"x": NAN, "y": Y}, "x.npy[4]", "NaN", N - 2),
    "images with infinities": ({"x": NAN, "y": Y}, "x.npy[7]", "infinite", N - 2),
    "a label missing": (
        {"x": GREY, "y": np.where(Y == 9, 0, Y).astype(float) * np.where(np.arange(N) == 3, np.nan, 1)},
        "x.npy[3]",
        "no label",
        N - 1,
    ),
    "an empty word": (
        {"x": GREY, "y": np.where(np.arange(N) == 5, "", Y.astype("U1"))},
        "x.npy[5]",
        "no label",
        N - 1,
    ),
    "an array of no use": ({"x": GREY, "y": Y, "seed": np.int64(3)}, "seed.npy", "left out", N),
    "images twice": ({"x": GREY, "images": GREY, "y": Y}, "x.npy", "already", N),
    "labels (N, 1)": ({"x": GREY, "y": Y[:, None]}, "y.npy", "laid flat", N),
    "one-hot": ({"x": GREY, "y": np.eye(3)[Y]}, "y.npy", "one-hot", N),
    "standardized floats": ({"x": (GREY - 120.0) / 60, "y": Y}, "all images", "stretched", N),
    "negative integers": ({"x": GREY.astype(int) - 300, "y": Y}, "all images", "stretched", N),
    "16 bits": ({"x": GREY.astype(np.uint16) * 257, "y": Y}, "all images", "16 bits", N),
    "constant floats": ({"x": np.full((N, 8, 8), 7.5), "y": Y}, "all images", "stretched", N),
}  # fmt: skip


@pytest.mark.parametrize("case", MENDED)
def test_awkward_arrays_are_mended_or_left_out_with_the_reason(case: str, tmp_path: Path) -> None:
    arrays, file, reason, kept = MENDED[case]
    prepared, stored = prepared_of(tmp_path, **arrays)
    rows = [r for r in prepared.report if r["file"] == file and r["action"] != "kept"]
    assert any(reason in r["reason"] for r in rows), prepared.report
    assert sum(prepared.rows.values()) == len(stored.labels) == kept


def test_transparent_pixels_are_laid_on_white(tmp_path: Path) -> None:
    clear = np.zeros((N, 8, 6, 4), np.uint8)
    clear[0, 0, 0] = 10, 20, 30, 255
    _, stored = prepared_of(tmp_path, images=clear, labels=Y)
    assert stored.images[0, :, 0, 0].tolist() == [10, 20, 30]
    assert (stored.images[1:] == 255).all()


def test_arrays_beside_image_files_are_left_out(tmp_path: Path) -> None:
    from tests.data.made import two_classes

    at = folder(tmp_path / "s", two_classes(3) | {"x.npy": npy(GREY), "y.npy": npy(Y)})
    prepared = prepare(at, tmp_path / "out")
    assert prepared.rows == {"train": 6}
    assert row_of(prepared, "x.npy")[0] == "refused"
