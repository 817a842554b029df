"""Whatever bytes arrive, an import ends in a set or in a DataError, and leaves nothing half done."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made import idx, pixels, tarred, two_classes, zipped
from workbench.data import Limits, prepare
from workbench.data.prepared import open_arrays
from workbench.data.text.stored import Stored
from workbench.specs.errors import DataError

LIMITS = Limits(bytes=4 << 20, files=50, images=5_000, file_bytes=1 << 20)


def made() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as place:
        at = Path(place)
        images = pixels(0, 40, 5, 1).reshape(8, 5, 5)
        quad = {"images.idx": idx(images), "labels.idx": idx(images[:, 0, 0] % 2)}
        return {
            "s.zip": zipped(at / "s.zip", two_classes(2)).read_bytes(),
            "s.tar.gz": tarred(at / "s.tgz", two_classes(2)).read_bytes(),
            "s.tar": tarred(at / "s.tar", two_classes(2), "w:").read_bytes(),
            "idx.zip": zipped(at / "i.zip", quad).read_bytes(),
        }


WHOLE = made()
edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=12)


def import_bytes(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        at = Path(place)
        (at / name).write_bytes(data)
        refused = None
        try:
            prepared = prepare(at / name, at / "out", limits=LIMITS)
        except DataError as error:
            refused = error
        if refused is not None:
            assert all(p.where and p.rule and p.fact for p in refused.problems)
            assert [p.name for p in at.iterdir()] == [name]
        elif prepared.schema.kind == "text":
            assert len(Stored(at / "out")) == sum(prepared.rows.values()) > 0
        else:
            arrays = open_arrays(at / "out")
            assert len(arrays.images) == sum(prepared.rows.values())
            assert set(arrays.labels) == set(range(len(prepared.schema.classes)))


@given(st.sampled_from(sorted(WHOLE)), edits, st.floats(0.02, 1))
@settings(max_examples=400, deadline=None)
def test_damaged_archives_never_break_the_import(
    name: str, edits: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(WHOLE[name])
    for place, value in edits:
        data[int(place * len(data))] = value
    import_bytes(name, bytes(data[: max(1, int(keep * len(data)) if keep < 0.9 else len(data))]))


@given(
    st.binary(min_size=1, max_size=400), st.sampled_from(["x.zip", "x.tar", "x.gz", "x-images-idx3-ubyte"])
)
@settings(max_examples=150, deadline=None)
def test_random_bytes_never_break_the_import(data: bytes, name: str) -> None:
    import_bytes(name, data)
