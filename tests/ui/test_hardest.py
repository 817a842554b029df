"""Windows of a series among the hardest, as the page draws them."""

from __future__ import annotations

from urllib.parse import unquote

from streamlit.testing.v1 import AppTest


def page() -> None:
    from workbench.ui.hardest import _windows

    lines = [
        {"text": "a to b", "loss": 1.0, "oddness": 0.5, "truth": truth, "told": [1.0, 2.0, 3.0, 4.0, 9.0]}
        for truth in ([1.0, 2.0, None, -4.0, 5.0], [None] * 5, [1.0, 2.0, 3.0, 4.0, 5.0])
    ]
    _windows({"run": "r", "split": "test"}, lines)


def test_the_true_course_has_gaps_where_values_were_filled_in() -> None:
    """A line chart in a cell draws none where one value is missing, so such columns are pictures."""
    app = AppTest.from_function(page).run()
    assert not app.exception
    found = app.dataframe[0].value
    drawn = [unquote(cell) for cell in found["True"]]
    assert [cell.count("M") for cell in drawn] == [2, 0, 1]  # strokes
    assert all(cell.startswith("data:image/svg+xml") for cell in drawn)
    assert found["Told"][0].tolist() == [1.0, 2.0, 3.0, 4.0, 9.0]
    assert "NaN" not in app.dataframe[0].proto.columns
    assert '"y_min": -4.0' in app.dataframe[0].proto.columns
