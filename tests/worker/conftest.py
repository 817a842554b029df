"""A home with a supervisor for all tests of a file, each of which leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import leave_no_run, living_home
from workbench.store import Store


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with living_home(tmp_path_factory.mktemp("shared") / "home") as store:
        yield store


@pytest.fixture(autouse=True)
def _nothing_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "shared" in request.fixturenames:
        leave_no_run(request.getfixturevalue("shared"))
