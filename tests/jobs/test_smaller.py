"""Teachers, pruned forks, students: what is refused before a launch, what a run keeps of its teacher."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worker.taught import taught
from workbench.jobs import runs, smaller, teachers
from workbench.jobs.check import check
from workbench.specs.errors import RunError, SpecError
from workbench.specs.presets import PRESETS
from workbench.specs.run import RunSpec, from_dict
from workbench.specs.smaller import Prune
from workbench.store import Store, open_store

TINY = PRESETS["mlp-tiny"].spec.with_changes("training.steps=4", "training.device=cpu", "training.threads=1")


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("workbench.jobs.runs.ensure_supervisor", lambda store, wait_s=0: None)
    return open_store()


def student(teacher: str, *changes: str) -> RunSpec:
    return TINY.with_changes(f"training.distill={{teacher: {teacher}}}", "name=pupil", *changes)


def problem(store: Store, spec: RunSpec) -> str:
    found = [p for p in check(store, spec).problems if p.where.startswith("training.distill")]
    return found[0].sentence() if found else ""


def test_a_teacher_that_is_not_there_or_has_saved_nothing_is_told(store: Store) -> None:
    assert "a teacher must be named" in problem(store, student("''"))
    assert "the run must exist" in problem(store, student("nobody"))
    fresh = store.runs.create(TINY).id
    assert "has saved none" in problem(store, student(fresh)) or "It has saved none" in problem(
        store, student(fresh)
    )


def test_a_teacher_of_other_data_is_told_with_the_fact(store: Store) -> None:
    teacher = taught(store, TINY.with_changes("name=teacher"))
    assert problem(store, student(teacher)) == ""
    other = problem(store, student(teacher, "data.name=fashion-mnist-sample"))
    assert "shape of the data" in other
    assert "(1, 8, 8)" in other
    assert "data.normalize" in problem(store, student(teacher, "data.normalize=unit"))
    leak = problem(store, student(teacher, "data.split_seed=3"))
    assert "validated on" in leak
    assert check(store, student(teacher, "data.split_seed=3")).ok  # a warning


def test_a_teacher_of_another_cut_of_a_series_has_another_scale(store: Store) -> None:
    spec = PRESETS["lstm-forecast"].spec.with_changes("training.steps=2", "training.device=cpu")
    teacher = taught(store, spec)
    alike = spec.with_changes(f"training.distill={{teacher: {teacher}}}")
    assert problem(store, alike) == ""
    for change in ("data.validation=0.4", "data.test=0.4"):
        assert "the same cut of the steps" in problem(store, alike.with_changes(change))


def test_a_teacher_of_another_version_of_the_set_is_told(store: Store, tmp_path: Path) -> None:
    from workbench import catalog

    catalog.copy(store, "digits", "mine")
    teacher = taught(store, TINY.with_changes("data.name=mine"))
    spec = student(teacher, "data.name=mine")
    assert problem(store, spec) == ""
    catalog.drop_images(store, "mine", [0, 5])
    found = check(store, spec)
    assert found.ok  # a warning
    assert "learned from version 1 of mine, which is at 2 now" in problem(store, spec)
    assert problem(store, spec.with_changes("data.split_seed=3")).endswith("as the teacher's run does.")
    catalog.restore(store, "mine", 1)
    assert problem(store, spec) == ""

    rows = "".join(f"{i * 37 % 23},{i * 11 % 7}.5,{'ab'[i * 5 % 3 % 2]}\n" for i in range(80))
    (tmp_path / "rows.csv").write_text(f"u,v,y\n{rows}")
    catalog.add(store, tmp_path / "rows.csv", "rows", kind="table")
    layers = [{"kind": "linear", "out_features": 2}]
    table = from_dict({"data": {"name": "rows"}, "model": {"layers": layers}, "training": {"steps": 2}})
    teacher = taught(store, table)
    spec = table.with_changes(f"training.distill={{teacher: {teacher}}}")
    assert problem(store, spec) == ""
    catalog.drop_images(store, "rows", [0])
    assert "the same cut of the rows" in problem(store, spec)  # its scalers learned of others
    assert "has version 1 of rows" in problem(store, spec)
    assert not check(store, spec).ok


def test_other_classes_are_told(store: Store) -> None:
    from workbench import catalog

    teacher = taught(store, TINY)
    catalog.copy(store, "digits", "nine")
    catalog.drop_classes(store, "nine", ["9"])
    assert "classes" in problem(store, student(teacher, "data.name=nine"))


def test_a_student_pins_its_teacher_and_outlives_it(store: Store) -> None:
    teacher = taught(store, TINY.with_changes("name=teacher"))
    run_id = runs.submit(store, student("teacher"))
    row = store.runs.get(run_id)
    assert row.spec.training.distill is not None
    assert row.spec.training.distill.teacher == teacher
    kept = teachers.pinned(store, row)
    assert (kept["id"], kept["checkpoint"], kept["step"]) == (teacher, "best", 4)
    blob = store.checkpoints.read(teacher, "best")
    assert store.checkpoints.read(run_id, teachers.TEACHER) == blob
    store.runs.delete(teacher)
    assert teachers.pinned(store, row)["spec"]
    from workbench.worker.trained import teacher_for

    assert teacher_for(store, row, (1, 8, 8)) is not None


def test_a_student_whose_teacher_vanishes_in_that_moment_is_no_half_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught(store, TINY.with_changes("name=teacher"))

    def gone(*_: object) -> None:
        raise RunError.of("run `teacher`", "the run must exist", "it was deleted just now")

    monkeypatch.setattr("workbench.jobs.teachers.pin", gone)
    with pytest.raises(RunError, match="deleted just now"):
        runs.submit(store, student("teacher"))
    assert [row.name for row in store.runs.list()] == ["teacher"]


def test_a_pruned_variant_is_a_fork_with_less_and_a_falling_rate(store: Store) -> None:
    parent = taught(store, TINY)
    child = store.runs.get(smaller.prune(store, parent, Prune(amount=0.4), epochs=2))
    assert (child.parent, child.parent_checkpoint) == (parent, "best")
    assert child.spec.model == TINY.model
    assert child.spec.training.schedule.kind == "cosine"
    assert child.spec.training.epochs == 2
    thinner = store.runs.get(smaller.prune(store, parent, Prune(what="channels", amount=0.5)))
    assert thinner.spec.model.n_params((1, 8, 8)) < TINY.model.n_params((1, 8, 8))
    assert [kind for kind, _ in smaller.variants(store, store.runs.get(parent))] == ["pruned", "pruned"]


def test_channels_cannot_be_chosen_among_fresh_weights(store: Store) -> None:
    with pytest.raises(SpecError, match="channels are chosen among those of a trained model"):
        runs.submit(store, TINY.with_changes("training.prune={what: channels}"))


def test_a_student_is_narrower_where_its_teacher_has_channels_to_lose(store: Store) -> None:
    parent = store.runs.get(taught(store, TINY))
    spec = smaller.student(store, parent)
    assert spec.training.distill is not None
    assert spec.model.n_params((1, 8, 8)) < parent.spec.model.n_params((1, 8, 8))
    assert check(store, spec).ok


def test_weights_of_another_architecture_are_taken_only_when_asked(store: Store) -> None:
    parent = taught(store, TINY)
    wider = ["model.layers.1.out_features=50"]
    with pytest.raises(SpecError, match="--matching"):
        runs.fork(store, parent, wider, "best")
    child = store.runs.get(runs.fork(store, parent, wider, "best", matching=True))
    assert child.spec.model.layers[1].out_features == 50  # type: ignore[union-attr]


def test_an_8_bit_variant_is_no_state_to_go_on_from_or_to_teach(store: Store) -> None:
    from workbench.worker.variants import quantise

    parent = taught(store, TINY)
    made = quantise(store, {"run": parent, "how": "static"}, lambda words, share: None)
    assert made["checkpoint"] == "int8-static"
    with pytest.raises(RunError, match="the checkpoint must exist"):
        runs.fork(store, parent, checkpoint="int8-static")
    assert "checkpoint must exist" in problem(
        store, student(parent, f"training.distill={{teacher: {parent}, checkpoint: int8-static}}")
    )


def test_all_variants_are_measured_beside_the_original_and_kept(store: Store) -> None:
    from workbench.worker.variants import measure, quantise

    parent = taught(store, TINY)
    quantise(store, {"run": parent, "how": "dynamic"}, lambda words, share: None)
    waiting = smaller.prune(store, parent, Prune())
    told: list[str] = []
    measure(store, {"run": parent}, lambda words, share: told.append(words))
    found = smaller.measured(store, store.runs.get(parent))
    assert found is not None
    rows = smaller.ratios(found)
    assert [(row["kind"], row["run"]) for row in rows] == [
        ("original", parent), ("int8", parent), ("pruned", waiting),
    ]  # fmt: skip
    assert "has not saved one yet" in rows[2]["problem"]
    assert rows[0]["size"] == rows[0]["speed_1"] == 1.0
    assert rows[1]["size"] > 2.5
    assert smaller.quicker_at(rows[0]) == "none"  # than itself
    assert smaller.quicker_at({"speed_1": 0.6, "speed_32": 2.4}) == "32"
    assert smaller.quicker_at({"speed_1": 1.2, "speed_32": 2.4}) == "1 and 32"
    assert smaller.quicker_at(rows[2]) == ""
    assert rows[0]["parameters"] == TINY.model.n_params((1, 8, 8))
    assert len(told) == 3


def test_a_pruned_variant_learns_from_the_version_of_its_parent_or_not_at_all(store: Store) -> None:
    from workbench import catalog

    catalog.copy(store, "digits", "mine")
    spec = TINY.with_changes("data.name=mine")
    parent = taught(store, spec)
    catalog.drop_images(store, "mine", list(range(30)))  # the split of version 2 is drawn anew
    for what in ("weights", "channels"):
        child = store.runs.get(smaller.prune(store, parent, Prune(what=what)))  # type: ignore[arg-type]
        assert child.data_version == 1
    assert store.runs.get(runs.fork(store, parent)).data_version is None  # a fork takes the newest
    later = taught(store, spec.with_changes("name=later"))
    catalog.delete(store, "mine")
    catalog.copy(store, "digits", "mine")
    before = len(store.runs.list())
    with pytest.raises(RunError, match="version 2 of mine is gone"):
        smaller.prune(store, later, Prune())
    assert len(store.runs.list()) == before


def test_a_variant_of_another_version_or_reading_has_no_figures_and_spoils_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench import catalog
    from workbench.worker import variants

    catalog.copy(store, "digits", "mine")
    spec = TINY.with_changes("data.name=mine")
    parent = taught(store, spec)
    catalog.drop_images(store, "mine", [0, 5])

    def variant(version: int, *changes: str) -> str:
        child = store.runs.create(spec.with_changes("training.prune={}", *changes), parent=parent).id
        store.runs.update(child, data_version=version)
        store.checkpoints.copy(parent, "best", child, "best")
        return child

    alike, newer = variant(1), variant(2)
    read, faulty = variant(1, "data.normalize=unit"), variant(1, "name=faulty")
    true = variants.evaluate
    turns: list[str] = []

    def evaluate(*given: object, **named: object) -> object:
        turns.append("")
        if len(turns) == 2:  # the newest is measured first
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\nat some line")
        return true(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(variants, "evaluate", evaluate)
    found = variants.measure(store, {"run": parent}, lambda words, share: None)
    told = {row["run"]: row for row in found["rows"]}
    assert told[alike]["value"] == told[parent]["value"]
    assert "version 2 of mine, and the run itself from version 1" in told[newer]["problem"]
    assert "data.normalize" in told[read]["problem"]
    assert "mat1 and mat2 shapes cannot be multiplied" in told[faulty]["problem"]
    assert "some line" not in told[faulty]["problem"]
    assert all("value" not in told[run] for run in (newer, read, faulty))
    assert [row["change"] for row in smaller.ratios(found)].count(None) == 3


def test_only_students_of_the_same_data_and_cut_are_measured_beside_their_teacher(store: Store) -> None:
    from workbench import catalog
    from workbench.worker.variants import measure

    catalog.copy(store, "digits", "twin")
    parent = store.runs.get(taught(store, TINY))
    spec = smaller.student(store, parent)
    usual = taught(store, spec.with_changes("data.folds=7"))  # no fold is chosen
    assert not check(store, spec.with_changes("data.folds=7")).problems
    told: dict[str, str] = {}
    for change in ("data.split_seed=3", "data.limit=100", "data.fold=2", "data.test=0.2", "data.name=twin"):
        other = spec.with_changes(change)
        found = check(store, other)
        assert found.ok  # a warning alone
        assert found.problems
        row = store.runs.create(other)
        store.runs.update(row.id, data_version=1)
        store.checkpoints.copy(usual, "best", row.id, "best")
        told[row.id] = change.split("=")[0]
    rows = {row["run"]: row for row in measure(store, {"run": parent.id}, lambda words, share: None)["rows"]}
    assert {row["kind"] for row in rows.values()} == {"original", "student"}
    assert "problem" not in rows[usual]
    assert rows[usual]["value"] > 0
    for run_id, field in told.items():
        words = "version 1 of twin, and the run itself from version 1 of digits"
        assert (words if field == "data.name" else f"its {field} is") in rows[run_id]["problem"]
        assert "value" not in rows[run_id]


def test_a_student_is_taught_on_the_version_that_its_teacher_learned_from(store: Store) -> None:
    from workbench import catalog

    catalog.copy(store, "digits", "mine")
    parent = store.runs.get(taught(store, TINY.with_changes("data.name=mine")))
    catalog.drop_images(store, "mine", [0, 5])
    child = store.runs.get(smaller.teach(store, parent))
    assert child.data_version == 1
    smaller.must_be_comparable(store, parent, child)
    plain = store.runs.get(runs.submit(store, TINY.with_changes("data.name=mine")))
    assert plain.data_version is None  # the newest


def test_variants_are_found_and_measured_however_many_runs_came_after_them(store: Store) -> None:
    from sqlalchemy import insert, select

    from workbench.store.schema import runs as table
    from workbench.worker.variants import measure

    parent = store.runs.get(taught(store, TINY))
    made = [smaller.prune(store, parent.id, Prune()), smaller.teach(store, parent)]
    child = store.runs.get(made[0])
    grand = smaller.prune(store, taught(store, child.spec), Prune())  # of another run
    store.runs.rename(grand, f"not of {parent.id}")
    with store._engine.begin() as connection:
        one = dict(connection.execute(select(table).where(table.c.id == grand)).one()._mapping)
        spec = store.runs.get(grand).spec.model_copy(update={"name": f"like {parent.id}"}).to_json()
        later = [{**one, "id": f"later-{i}", "created": 2e9 + i, "spec": spec} for i in range(600)]
        connection.execute(insert(table), later)
    found = smaller.variants(store, parent)
    assert [(kind, other.id) for kind, other in found] == [("student", made[1]), ("pruned", made[0])]
    for _ in range(2):  # measured again, nothing is forgotten
        rows = measure(store, {"run": parent.id}, lambda words, share: None)["rows"]
        assert [row["run"] for row in rows] == [parent.id, *reversed(made)]


def test_processes_that_cannot_share_a_batch_are_refused(store: Store) -> None:
    few = TINY.with_changes("training.processes=4", "training.batch_size=2")
    found = [p for p in check(store, few).problems if p.where == "training.processes"]
    assert "every process needs a sample" in found[0].rule
    many = TINY.with_changes("training.processes=16", "training.batch_size=64")
    warned = [p for p in check(store, many).problems if p.where == "training.processes"]
    assert [p.severity for p in warned] in ([], ["warning"])  # a machine of 16 cores has nothing to say
    assert check(store, many).memory_bytes > 10 * check(store, TINY).memory_bytes
    gpus = TINY.with_changes("training.processes=2", "training.device=cuda:60")
    assert not check(store, gpus).ok


def test_two_networks_are_pruned_and_shared_by_processes_but_not_taught(store: Store) -> None:
    spec = PRESETS["dcgan"].spec
    assert check(store, spec.with_changes("training.prune={}", "training.processes=2")).ok
    assert check(store, PRESETS["vae"].spec.with_changes("training.processes=2")).ok
    found = check(store, spec.with_changes("training.distill={teacher: other}"))
    (problem,) = [p for p in found.problems if p.where == "training.distill"]
    assert (found.ok, problem.fact) == (False, "a generator answers noise, and any good picture will do")
