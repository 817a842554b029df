"""What a trained model says to rows of a table: a class with its probabilities, a number, or several labels.

The answers follow the contract of `predict --json`: input, prediction and probabilities.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from workbench.data.report import Report
from workbench.data.table.asked import from_file, from_rows, tell_unlearned
from workbench.specs.errors import DataError
from workbench.worker.trained import Trained

BATCH = 1024


def say_rows(trained: Trained, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One answer per row. payload: rows: [{column: value}], or images or files: [{"name", "content": base64}]
    of tables; of a file's rows `beside` holds cells that the model does not read, such as an id. Raises
    DataError for rows that are none of this table's.

    Check: words that were never seen, and missing cells, are answered too.
    """
    fields, encoder = trained.data.schema.fields, trained.data.encoder
    found: list[dict[str, Any]] = []
    if payload.get("rows"):
        columns = from_rows(payload["rows"], fields, encoder.columns)
        found += _answers(trained, columns, "row", Report())
    for item in [*payload.get("files", ()), *payload.get("images", ())]:
        report = Report()
        blob = base64.b64decode(item["content"])
        beside: dict[str, list[str]] = {}
        columns = from_file(item["name"], blob, fields, encoder.columns, report, beside)
        tell_unlearned(encoder.unlearned(columns), report)
        told = _answers(trained, columns, f"{item['name']}, row", report)
        for i, one in enumerate(told if beside else ()):
            one["beside"] = {name: cells[i] for name, cells in beside.items()}
        found += told
    if not found:
        raise DataError.of("rows", "there must be rows to answer", "there are none", "Give a row or a file.")
    return found


def _answers(
    trained: Trained, columns: Mapping[str, np.ndarray], where: str, report: Report
) -> list[dict[str, Any]]:
    x = torch.from_numpy(trained.data.encoder.encode(columns))
    with torch.inference_mode():
        parts = [trained.task.predict(trained.model(x[at : at + BATCH])) for at in range(0, len(x), BATCH)]
    told = torch.cat(parts).numpy() if parts else np.zeros((0, 1), np.float32)
    repairs = report.mended()
    return [
        {"input": f"{where} {i + 1}", **_said(trained, row), **({"repairs": repairs} if repairs else {})}
        for i, row in enumerate(told)
    ]


def _said(trained: Trained, row: np.ndarray) -> dict[str, Any]:
    kind, classes = trained.task.kind, trained.data.classes
    if kind == "regression":
        return {"prediction": float(row[0]), "unit": trained.data.unit}
    order = np.argsort(-row, kind="stable")
    shares = {classes[k]: float(row[k]) for k in order}
    if kind == "multi_label":
        return {
            "prediction": [name for k, name in enumerate(classes) if row[k] > 0.5],
            "probabilities": shares,
        }
    return {"prediction": classes[order[0]], "probabilities": shares}
