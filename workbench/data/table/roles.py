"""What the columns of a table are for: target, id, constant, split, group, and what a model sees. Guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.data.report import Report, shown
from workbench.data.splits import TEST, TRAIN
from workbench.data.table.names import named
from workbench.data.table.reading import ReadColumn, ReadTable
from workbench.data.tables import SPLIT
from workbench.specs.errors import DataError
from workbench.specs.tables import Role, TableImport, TableTask

TARGETS = (
    r"target|label|labels|class|y|outcome|response|dependent|ground_truth|gt|is_target",
    r"(is_)?(survived|churn(ed)?|exited|default(ed)?|spam|fraud|attrition|approved|subscribed|clicked)",
    r"income|quality|species|diagnosis|rating|grade|score|category",
    r"(\w+_)?(price|value|cost|amount|sales|revenue|salary|charges)|medv|mpg|strength|sale_?price",
)
_ID = re.compile(
    r"(\w+_)?(id|uuid|guid|index|key|no|nr|number|rownumber)|unnamed_\d+|column_1|passengerid|id\w{0,4}"
)
GROUP = r"groups?(_?id)?|(subject|patient|person|user|customer|session)_?id"
FEW = 10  # whole numbers of so many values are classes, where nobody says otherwise
MOST_WORDS = 0.5  # share of the rows from which different words tell rows apart and not what they are


@dataclass
class Roles:
    """The role of each column, why some are not used, the target and the task."""

    roles: list[Role]
    target: list[int]
    task: TableTask
    guessed_target: bool
    guessed_task: bool
    reasons: dict[int, str] = field(default_factory=dict)

    @property
    def split(self) -> int | None:
        return next((c for c, role in enumerate(self.roles) if role == "split"), None)

    @property
    def group(self) -> int | None:
        return next((c for c, role in enumerate(self.roles) if role == "group"), None)


def roles_of(table: ReadTable, asked: TableImport, where: str) -> Roles:
    """What each column is for. Raises DataError where a target cannot be told, or nothing is left to see.

    Check: a column that a person names has the role that is asked for.
    """
    names, n = table.names, len(table)
    target = list(dict.fromkeys(named(name, names, "target") for name in asked.target))
    ignored = {named(name, names, "ignored") for name in asked.ignored}
    used = {named(name, names, "used") for name in (*asked.used, *asked.numeric, *asked.categorical)}
    if clash := set(target) & ignored:
        raise DataError.of("target", "a column means one thing", f"`{names[min(clash)]}` is also ignored")
    is_guessed = not target
    if is_guessed:
        target = [_target(table, ignored, where)]
    task = asked.task or _task([table.columns[c] for c in target])
    _fits(task, [table.columns[c] for c in target], asked.task is not None)
    roles: list[Role] = []
    reasons: dict[int, str] = {}
    for c, column in enumerate(table.columns):
        role, reason = _role(column, n, c in used)
        if c in target:
            role, reason = "target", ""
        elif c in ignored:
            role, reason = "ignored", "as asked for"
        elif (
            c not in used
            and re.fullmatch(SPLIT, _word(column.name))
            and column.kind == "word"
            and column.distinct <= 3
        ):
            role, reason = "split", ""
        elif c not in used and re.fullmatch(GROUP, _word(column.name)):
            role, reason = "group", ""
        roles.append(role)
        if reason:
            reasons[c] = reason
    if not any(role in ("number", "date", "category") for role in roles):
        raise DataError.of(
            where, "a table needs columns to tell the target from", "none of its columns tells rows apart",
            "Name the columns to be used (used, --use).",
        )  # fmt: skip
    return Roles(roles, target, task, is_guessed, asked.task is None, reasons)


def measured_targets(table: ReadTable, asked: TableImport, where: str) -> list[str]:
    """The target of a regression, by name: what is to be learned is never left out by a guess."""
    found = roles_of(table, asked, where)
    return [table.names[c] for c in found.target] if found.task == "regression" else []


def tell(found: Roles, table: ReadTable, report: Report) -> None:
    """The choice, in the report; and how to choose otherwise."""
    names = ", ".join(f"`{shown(table.names[c], 60)}`" for c in found.target)
    how = "guessed; say which to change it" if found.guessed_target else "as asked for"
    report.kept("target", f"{names} ({how})")
    how = "guessed" if found.guessed_task else "as asked for"
    report.kept("task", f"{found.task.replace('_', ' ')} ({how})")
    for c, reason in list(found.reasons.items())[:200]:
        report.kept(f"column `{shown(table.names[c], 60)}`", f"not used: {reason}")


def _role(column: ReadColumn, n: int, is_used: bool) -> tuple[Role, str]:
    """The role of a column by its contents, and why it is not used."""
    filled = n - column.missing
    kind: Role = {"number": "number", "moment": "date", "word": "category"}[column.kind]  # type: ignore[assignment]
    if is_used:
        return kind, ""
    if not filled:
        return "constant", "it is empty"
    if column.distinct <= 1 and not column.missing:
        return "constant", "all its cells are alike"
    tells_apart = column.distinct >= filled and filled >= 20
    is_named_id = re.fullmatch(_ID, _word(column.name)) is not None
    if tells_apart and (is_named_id or column.is_code) and (column.kind == "word" or column.is_whole):
        return "id", "it numbers the rows"
    if column.kind == "number" and tells_apart and column.is_whole:
        span = column.greatest - column.least + 1
        if span == filled and column.least in (0.0, 1.0):
            return "id", "it counts the rows"
    if column.kind == "word" and filled >= 20 and column.distinct > MOST_WORDS * filled:
        return (
            "ignored",
            f"its {column.distinct:,} different words are too many to learn from {filled:,} rows; use it "
            "all the same (used, --use) with data.table.buckets, where its words share codes",
        )
    return kind, ""


def _target(table: ReadTable, ignored: set[int], where: str) -> int:
    """What is to be told: what the test file lacks, what is called so, or the last column."""
    free = [c for c, column in enumerate(table.columns) if c not in ignored and column.distinct > 1]
    trains = [set(file.names) for file in table.files if file.split == TRAIN]
    tests = [set(file.names) for file in table.files if file.split == TEST]
    if trains and tests:
        lacking = [c for c in free if all(table.names[c] not in names for names in tests)]
        if len(lacking) == 1:
            return lacking[0]
    words = [_word(name) for name in table.names]
    alike = [
        c for c, column in enumerate(table.columns)
        if c not in ignored and column.distinct == 1 and re.fullmatch(TARGETS[0], words[c])
    ]  # fmt: skip
    if alike and not any(re.fullmatch(TARGETS[0], words[c]) for c in free):
        raise DataError.of(
            f"column `{shown(table.names[alike[0]], 60)}`", "a target takes different values",
            "it is called so, and all its cells are alike", "Choose another target (target, --target).",
        )  # fmt: skip
    for pattern in TARGETS:
        found = [c for c in free if re.fullmatch(pattern, words[c])]
        if found:
            return found[-1]
    for c in reversed(free):
        column = table.columns[c]
        if column.kind == "number" or (
            column.kind == "word" and column.distinct <= max(20, 0.1 * len(table))
        ):
            return c
    columns = ", ".join(f"`{shown(name, 20)}`" for name in table.names[:12])
    raise DataError.of(
        where, "a table has a column that is to be told", f"which of {columns} is it?",
        "Choose the target (target, --target).",
    )  # fmt: skip


def _task(columns: Sequence[ReadColumn]) -> TableTask:
    if len(columns) > 1:
        return "multi_label"
    (column,) = columns
    if column.kind == "word" or column.distinct <= 2:
        return "classification"
    if column.kind == "number" and column.is_whole and column.distinct <= FEW:
        return "classification"
    return "regression"


def _fits(task: TableTask, columns: Sequence[ReadColumn], is_asked: bool) -> None:
    """Raises DataError where the targets cannot serve the task."""
    first = columns[0]
    where = f"column `{shown(first.name, 60)}`"
    if task != "multi_label" and len(columns) > 1:
        raise DataError.of("target", f"{task} tells one column", f"{len(columns)} are named", "Name one.")
    if task == "regression" and first.kind != "number":
        raise DataError.of(
            where, "regression tells a number", f"it holds {'dates' if first.kind == 'moment' else 'words'}",
            "Choose the task classification, or another target.",
        )  # fmt: skip
    if task == "classification" and first.kind == "moment":
        raise DataError.of(
            where, "a class is a word or a whole number", "it holds dates", "Choose another target."
        )
    if task == "classification" and first.kind == "number" and not first.is_whole and is_asked is False:
        raise DataError.of(
            where, "a class is a word or a whole number", "it holds numbers", "Choose regression."
        )
    if task == "multi_label":
        for column in columns:
            if column.distinct > 2:
                raise DataError.of(
                    f"column `{shown(column.name, 60)}`", "each of several labels is yes or no",
                    f"it takes {column.distinct} values", "Leave it out of the targets.",
                )  # fmt: skip
    for column in columns:
        if column.distinct < 2:
            raise DataError.of(
                f"column `{shown(column.name, 60)}`", "a target takes different values",
                "it is empty" if not column.distinct else "all its cells are alike", "Choose another target.",
            )  # fmt: skip


def _word(name: str) -> str:
    return re.sub(r"[^\w]+", "_", name.strip().lower()).strip("_")
