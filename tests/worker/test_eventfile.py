"""TensorBoard's event files, written here and read by TensorBoard itself."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.records import Scalars
from workbench.worker.eventfile import EventFile, crc32c, encode_scalars

# TensorBoard leaves files open.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_event_files_follow_each_other_though_the_clock_was_set_back(tmp_path: Path) -> None:
    first = EventFile(tmp_path)
    ahead = first.path.rename(tmp_path / "events.out.tfevents.9000000000.host.1.0")
    second = EventFile(tmp_path)
    assert second.path.name > ahead.name
    third = EventFile(tmp_path)
    assert third.path.name > second.path.name
    assert sorted(path.name for path in tmp_path.iterdir()) == [second.path.name, third.path.name]
    assert second.path.stat().st_size == 0, "what a reader may still have open is emptied, the rest is gone"


def test_checksums_are_crc_32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the catalogue of CRCs (Cook)
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 B.4


@settings(max_examples=60, deadline=None)
@given(
    key=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=150),
    steps=st.lists(st.integers(0, 2**40), min_size=1, max_size=40),
    values=st.lists(st.floats(width=32), min_size=40, max_size=40),
    moment=st.floats(0, 1e10),
)
def test_any_scalars_are_read_back_by_tensorboard(
    tmp_path_factory: pytest.TempPathFactory, key: str, steps: list[int], values: list[float], moment: float
) -> None:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    n = len(steps)
    at = np.array(sorted(steps))
    part = Scalars(key, at, at / 7, moment + np.arange(n), np.array(values[:n]))
    file = EventFile(tmp_path_factory.mktemp("any"))
    file.scalars([part])
    file.close()
    events = list(LegacyEventFileLoader(str(file.path)).Load())[2:]
    assert [e.step for e in events] == at.tolist()
    assert [e.wall_time for e in events] == part.times.tolist()
    assert {e.summary.value[0].tag for e in events} == {key}
    got = np.array([e.summary.value[0].simple_value for e in events], "f4")
    want = part.values.astype("f4")
    assert ((got == want) | (np.isnan(got) & np.isnan(want))).all()


def test_no_points_are_no_bytes() -> None:
    empty = np.empty(0)
    assert encode_scalars(Scalars("k", empty.astype(np.int64), empty, empty, empty)) == b""


def test_a_full_disk_leaves_a_whole_file_and_an_error(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    at = np.arange(1, 1001)
    part = Scalars("loss", at, at / 9, 1e9 + at, np.sin(at))
    file.scalars([part])
    size = file.path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            file.scalars([part])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.path.stat().st_size == size, "no half record"
