"""Verbs about a trained model: `evaluate`, `predict` and `hardest`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.pictures import say_pictures
from workbench.cli.terminal import Checkpoint, Json, Run, console, print_json, table, the_store
from workbench.specs.errors import DataError
from workbench.specs.picture_tasks import PICTURE_TASKS

if TYPE_CHECKING:
    from workbench.jobs.hardest import Asker
    from workbench.store import Store


def evaluate(
    run: Run,
    checkpoint: Checkpoint = None,
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="A folder, an archive, or a registered set's name.")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(min=1, max=32, help="Translators: beams; the run's own where none.")
    ] = None,
    as_json: Json = False,
) -> None:
    """All marks of the task, and who was taken for whom, on the test split or other data."""
    store = the_store()
    place = str(Path(data).expanduser().resolve()) if data and Path(data).expanduser().exists() else data
    payload = {"run": run, "checkpoint": checkpoint, "data": place, "beam": beam}
    found = answer(store, "evaluate", payload, timeout_s=600.0)
    if as_json:
        print_json(found)
        return
    where = f"checkpoint {found['checkpoint']}, step {found['step']}"
    print(f"{found['samples']:,} samples of {found['data']} ({where})")
    for repair in found.get("repairs", ()):
        print(f"repaired: {repair}")
    for name, value in found["metrics"].items():
        print(f"{name}: {value:.4f}")
    for floor, marks in ((found["report"] or {}).get("floors") or {}).items():
        print(f"{floor}: " + ", ".join(f"{name} {value:.4f}" for name, value in marks.items()))
    if not found["classes"] or not found["confusion"]:
        return
    rows = table("true \\ said", *(f"{name}>" for name in found["classes"]))
    for name, counts in zip(found["classes"], found["confusion"], strict=True):
        rows.add_row(name, *(str(count) for count in counts))
    console().print(rows)


def predict(
    run: Run,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="Image files; for a model of texts, texts or files; for one of a series, tables (none: it "
            "goes on from the end of its own); none for one that makes pictures.",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=10, help="Language models: 0 takes the likeliest token.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Language models: of so many likeliest.")] = None,
    top_p: Annotated[
        float | None, typer.Option(max=1, help="Language models: of those that make up this probability.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, max=4096, help="Language models: how many.")] = None,
    beam: Annotated[int | None, typer.Option(min=1, max=32, help="Translators: beams.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=256, help="Models that make pictures: how many.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Models that make pictures: of their noise.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PATH", help="Answers that are pictures: a PNG, or a folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What a run's model says to pictures, texts or rows; a language model goes on with the text, a generator
    makes new pictures."""
    store = the_store()
    inputs = inputs or []
    payload: dict[str, Any]
    if store.runs.get(run).spec.task.kind in PICTURE_TASKS:
        payload = {"run": run, "checkpoint": checkpoint, "asked": {"samples": samples, "seed": seed}}
        payload["images"] = [{"name": n, "content": base64.b64encode(_content(n)).decode()} for n in inputs]
        say_pictures(answer(store, "predict", payload, timeout_s=120.0), output, as_json)
        return
    asked = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "sample_tokens": tokens,
        "beam": beam,
    }
    payload = {"run": run, "checkpoint": checkpoint, "asked": asked}
    if store.runs.get(run).spec.task.kind == "forecasting":
        files = [{"name": n, "content": base64.b64encode(_content(n)).decode()} for n in inputs]
        _print_forecasts(answer(store, "predict", payload | {"images": files}, timeout_s=120.0), as_json)
        return
    if not inputs:
        raise DataError.of(
            "INPUT", "something to predict from must be given", "nothing is", "Name a file or a text."
        )
    if _kind_of(store, run) == "table":
        payload["files"] = [{"name": n, "content": base64.b64encode(_content(n)).decode()} for n in inputs]
    elif _kind_of(store, run) == "text":
        payload["texts"] = [_text(name) for name in inputs]
    else:
        payload["images"] = [{"name": n, "content": base64.b64encode(_content(n)).decode()} for n in inputs]
    found = answer(store, "predict", payload, timeout_s=120.0)
    if as_json:
        keys = ("input", "prediction", "probabilities", "unit", "text", "repairs", "beside")
        print_json([{key: item[key] for key in keys if item.get(key, []) != []} for item in found])
        return
    told: list[str] = []
    for item in found:
        if (repairs := item.get("repairs", [])) != told:
            told = repairs
            for repair in repairs:
                print(f"repaired: {repair}")
        if "text" in item:
            print(f"{item['input']}{item['text']}" if _goes_on(store, run) else item["text"])
            continue
        if "probabilities" not in item:
            print(f"{item['input']}: {item['prediction']:,.6g} {item.get('unit', '')}".rstrip())
            continue
        best = "  ".join(f"{name} {share:.1%}" for name, share in list(item["probabilities"].items())[:3])
        print(f"{item['input']}: {item['prediction']}   ({best})")


def _print_forecasts(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        keys = ("input", "prediction", "low", "high", "band", "times", "variates", "quantiles", "repairs")
        print_json([{key: item[key] for key in keys} for item in found])
        return
    for item in found:
        print(f"{item['input']}{', with its band: ' + item['band'] if item['band'] else ''}")
        for repair in item["repairs"]:
            print(f"repaired: {repair}")
        rows = table("time", *(f"{name}>" for name in item["variates"]))
        for at, time in enumerate(item["times"]):
            sides = (item[name][at] for name in ("prediction", "low", "high"))
            cells = [f"{m:.5g} ({a:.5g} to {b:.5g})" for m, a, b in zip(*sides, strict=True)]
            rows.add_row(time, *cells)
        console().print(rows)


def _kind_of(store: Store, run: str) -> str:
    from workbench import catalog

    row = store.runs.get(run)
    return catalog.schema(store, row.spec.data.name, row.data_version).kind


def _goes_on(store: Store, run: str) -> bool:
    return store.runs.get(run).spec.task.kind == "language_model"


def _text(given: str) -> str:
    """A text as it is, or the content of a text file of that name. Raises DataError."""
    path = Path(given)
    try:
        is_file = len(given) < 1000 and path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return given
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "its bytes are not UTF-8"
        raise DataError.of(given, "a text file must be readable UTF-8", reason, "Save it as UTF-8.") from None


def hardest(
    run: Run,
    checkpoint: Checkpoint = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="validation, test or train.")] = "validation",
    limit: Annotated[int, typer.Option(min=1, max=120, help="Lines of each kind.")] = 20,
    as_json: Json = False,
) -> None:
    """The samples with the highest loss, those whose labels are in doubt, and the oddest."""
    from workbench.jobs.hardest import KINDS
    from workbench.jobs.hardest import hardest as judge

    store = the_store()
    found = judge(store, run, split, checkpoint, asker=_asker(store))
    found |= {kind: found[kind][:limit] for kind in KINDS}
    if as_json:
        print_json(found)
        return
    where = f"{found['data']} version {found['version']}, {split}"
    drawn = "" if found["judged"] == found["of"] else f" of {found['of']:,}"
    is_text = found["kind"] in ("text", "table", "series")
    what = {"text": "texts", "table": "rows", "series": "windows"}.get(found["kind"], "images")
    filled = (
        f"; {found['filled']:,} more left out: all of their values were filled in" if found["filled"] else ""
    )
    print(f"{found['judged']:,}{drawn} {what} of {where} (checkpoint {found['checkpoint']}){filled}")
    if found["task"] != "classification":
        _off(found, what)
        return
    for kind in KINDS:
        more = ["text"] if is_text else []
        rows = table(f"{what[:-1]}>", "label", "model says", "sure>", "loss>", "oddness>", *more)
        for line in found[kind]:
            label, said = (str(found["classes"][line[name]]) for name in ("label", "prediction"))
            figures = f"{line['confidence']:.1%}", f"{line['loss']:.3f}", f"{line['oddness']:.3f}"
            begin = [" ".join(line["text"].split())[:60]] if is_text else []
            rows.add_row(f"{line['row']:,}", label, said, *figures, *begin)
        print(f"\n{kind}:" if found[kind] else f"\n{kind}: none")
        if found[kind]:
            console().print(rows)


def _off(found: Mapping[str, Any], what: str) -> None:
    """Rows of a regression or windows of a series: the farthest off, and the oddest."""
    is_row = found["task"] == "regression"
    unit = f" ({found['unit']})" if found["unit"] else ""
    head = [f"true{unit}>", "model says>", "off>"] if is_row else ["mean error (sd)>"]
    for kind in ("hardest", "oddest"):
        rows = table(f"{what[:-1]}>", *head, "oddness>", "text")
        for line in found[kind]:
            told = [f"{line['label']:.6g}", f"{line['prediction']:.6g}"] if is_row else []
            figures = (*told, f"{line['loss']:.4g}", f"{line['oddness']:.3f}")
            rows.add_row(f"{line['row']:,}", *figures, " ".join(line["text"].split())[:60])
        print(f"\n{kind}:")
        console().print(rows)


def _asker(store: Store) -> Asker:
    """The warm process where there is one; else one and the same answering side in this process."""
    from workbench.jobs.answers import ask
    from workbench.jobs.launch import supervisor

    if supervisor(store) is not None:
        return ask
    from workbench.worker.answering import Answers

    answers = Answers(store)
    return lambda store, verb, payload, timeout_s: answers.answer(verb, payload)


def answer(store: Store, verb: str, payload: Mapping[str, Any], timeout_s: float = 60.0) -> Any:
    """From the warm process where there is one, else worked out here (torch takes seconds to load)."""
    from workbench.jobs.answers import ask
    from workbench.jobs.launch import supervisor

    if supervisor(store) is not None:
        return ask(store, verb, payload, timeout_s)
    from workbench.worker.answering import Answers

    return Answers(store).answer(verb, payload)


def _content(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise DataError.of(name, "an input is an image file", error.strerror or str(error)) from None
