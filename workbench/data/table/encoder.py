"""Cells as the numbers that a model sees. All that is learned for it comes from the rows it is fitted on.

Imputers, scalers and encoders are scikit-learn's; what they learned is kept as plain numbers, never as a
pickle, and put back into them. Notation: n rows, N numbers, C columns of categories, F = N + C features, or
of one-hot categories N and as many as there are words.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from workbench.specs.base import Columns, Shape
from workbench.specs.data import DataSchema
from workbench.specs.tables import INPUTS, TableColumn, TableSpec

UNKNOWN = 0  # code of a word that was not seen, or too seldom
ABSENT = "\0"  # stands for a missing word
WORDS_A_BUCKET = 4  # of the training rows at least: next to no bucket is then one that nothing was learned of
QUANTILES = 1_000
DAY_US = 86_400_000_000
PARTS = ("days", "month", "weekday", "hour")  # of a moment


@dataclass(frozen=True)
class Number:
    """A feature from a column. part: of a moment, `missing` for whether the cell is, or "" for its value;
    fill: in place of a missing one; mean, scale: of standardize; quantiles: of quantile."""

    column: str
    part: str = ""
    fill: float = 0.0
    mean: float = 0.0
    scale: float = 1.0
    quantiles: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.column} ({self.part})" if self.part else self.column


@dataclass(frozen=True)
class Words:
    """A column of categories: word k has code k + 1; all others UNKNOWN, or one of `buckets` further codes by
    their hash."""

    column: str
    words: tuple[str, ...]
    buckets: int = 0

    @property
    def codes(self) -> int:
        return len(self.words) + 1 + self.buckets

    def code(self, word: str, place: Mapping[str, int]) -> int:
        """place: the codes of its own words."""
        if word in place or not self.buckets or word == ABSENT:
            return place.get(word, UNKNOWN)
        return len(self.words) + 1 + zlib.crc32(word.encode("utf-8", "surrogatepass")) % self.buckets

    @property
    def names(self) -> list[str]:
        """Of the codes but UNKNOWN, in order."""
        own = ["missing" if word == ABSENT else word for word in self.words]
        return own + [f"other words {k + 1}" for k in range(self.buckets)]


@dataclass(frozen=True)
class Encoder:
    """From columns to x (n, F) float32, for any rows, also with words and gaps that were never seen."""

    spec: TableSpec
    numbers: tuple[Number, ...]
    words: tuple[Words, ...]
    target_mean: float = 0.0
    target_scale: float = 1.0

    @property
    def shape(self) -> Shape:
        """What a model sees of a row."""
        if self.spec.categories == "embed" and self.words:
            return Columns(len(self.numbers), (own.codes for own in self.words))
        return (len(self.numbers) + sum(own.codes - 1 for own in self.words),)

    @property
    def features(self) -> list[str]:
        """Names of the features, in order."""
        found = [number.name for number in self.numbers]
        if self.spec.categories == "embed":
            return found + [own.column for own in self.words]
        return found + [f"{own.column}: {name}" for own in self.words for name in own.names]

    @property
    def sources(self) -> list[str]:
        """The column that each feature comes from."""
        found = [number.column for number in self.numbers]
        for own in self.words:
            found += [own.column] * (1 if self.spec.categories == "embed" else own.codes - 1)
        return found

    @property
    def columns(self) -> list[str]:
        """The columns it reads, each once."""
        return list(dict.fromkeys([*(n.column for n in self.numbers), *(w.column for w in self.words)]))

    def encode(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """columns: (n,) float64, datetime64[us] or objects -> x (n, F) float32, always finite.

        Check: equal to scikit-learn's pipeline of the same parts, fitted on the same rows.
        """
        n = len(next(iter(columns.values())))
        x = np.empty((n, self.shape[0]), np.float32)
        for k, number in enumerate(self.numbers):
            x[:, k] = self._scaled(number, values_of(columns[number.column], number.part))
        at = len(self.numbers)
        for own in self.words:
            codes = _codes(columns[own.column], own)
            if self.spec.categories == "embed":
                x[:, at] = codes
                at += 1
            else:
                x[:, at : at + own.codes - 1] = codes[:, None] == np.arange(1, own.codes)
                at += own.codes - 1
        return x

    def unlearned(self, columns: Mapping[str, np.ndarray]) -> dict[str, tuple[int, str]]:
        """Of each column of categories that has some: cells with words that no code stands for, and one of
        them. With buckets each word has a code."""
        found = {}
        for own in self.words:
            known = {ABSENT, *own.words}
            odd = [word for word in as_words(columns[own.column]) if word not in known]
            if odd and not own.buckets:
                found[own.column] = (len(odd), odd[0])
        return found

    def to_json(self) -> str:
        tree = {
            "spec": self.spec.model_dump(mode="json"),
            "numbers": [asdict(number) for number in self.numbers],
            "words": [asdict(own) for own in self.words],
            "target": [self.target_mean, self.target_scale],
        }
        return json.dumps(tree)

    @classmethod
    def from_json(cls, text: str) -> Encoder:
        tree = json.loads(text)
        numbers = tuple(Number(**{**n, "quantiles": tuple(n["quantiles"])}) for n in tree["numbers"])
        words = tuple(Words(w["column"], tuple(w["words"]), w.get("buckets", 0)) for w in tree["words"])
        return cls(TableSpec.model_validate(tree["spec"]), numbers, words, *tree["target"])

    def _scaled(self, number: Number, values: np.ndarray) -> np.ndarray:
        filled = np.where(np.isfinite(values), values, number.fill)
        if number.part == "missing":
            return np.asarray(filled)
        if number.quantiles:
            scaler = _quantile_transformer(len(number.quantiles))
            scaler.quantiles_ = np.array(number.quantiles)[:, None]
            scaler.references_ = np.linspace(0, 1, len(number.quantiles))
            scaler.n_features_in_, scaler.n_quantiles_ = 1, len(number.quantiles)
            ranked: Any = scaler.transform(filled[:, None])
            return np.asarray(ranked[:, 0])
        # What StandardScaler does, in its order of operations.
        return np.asarray((filled - number.mean) / number.scale)


def fit(
    schema: DataSchema, spec: TableSpec, column: Callable[[str], np.ndarray], target: np.ndarray | None = None
) -> Encoder:
    """What the training rows teach. column: the cells of a column of these rows alone, (n,); target (n,) of
    regression. One column at a time is in memory.

    Check: rows outside of the training split change nothing of it.
    """
    numbers: list[Number] = []
    words: list[Words] = []
    for own in schema.fields:
        if own.role not in INPUTS:
            continue
        cells = column(own.name)
        if own.role == "category":
            words.append(_words(own, spec, as_words(cells)))
            continue
        parts = [""] if cells.dtype.kind == "f" else _parts_of(cells)
        numbers += [_number(own.name, part, spec, values_of(cells, part)) for part in parts]
        gone = np.isnan(values_of(cells, parts[0]))
        if spec.indicate and gone.any() and not gone.all():
            numbers.append(Number(own.name, "missing"))
    mean, scale = 0.0, 1.0
    if target is not None and spec.target == "standardize":
        from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - a second that only fitting needs

        scaler = StandardScaler().fit(np.asarray(target, np.float64)[:, None])
        mean, scale = float(scaler.mean_[0]), float(scaler.scale_[0])
    return Encoder(spec, tuple(numbers), tuple(words), mean, scale)


def values_of(cells: np.ndarray, part: str) -> np.ndarray:
    """A column, or a part of its moments, as float64 with NaN where there is none."""
    if part == "missing":
        gone = np.isnat(cells) if cells.dtype.kind == "M" else np.isnan(cells)
        return np.asarray(gone, np.float64)
    if cells.dtype.kind != "M":
        return np.asarray(cells, np.float64)
    gone = np.isnat(cells)
    moments = np.where(gone, np.datetime64(0, "us"), cells)
    found: np.ndarray
    if part == "days":
        found = moments.astype("datetime64[us]").astype(np.int64) / DAY_US
    elif part == "month":
        found = moments.astype("datetime64[M]").astype(np.int64) % 12 + 1
    elif part == "weekday":
        found = (moments.astype("datetime64[D]").astype(np.int64) + 3) % 7
    else:
        found = (moments.astype("datetime64[h]").astype(np.int64)) % 24
    return np.where(gone, np.nan, found.astype(np.float64))


def as_words(cells: np.ndarray) -> np.ndarray:
    """Cells of any kind as words, ABSENT where there is none; whole numbers without decimals."""
    if cells.dtype.kind == "f":
        plain = [ABSENT if v != v else str(int(v)) if v.is_integer() else repr(v) for v in cells.tolist()]
    else:
        plain = [ABSENT if v is None or v != v else str(v) for v in cells.tolist()]
    out = np.empty(len(plain), object)
    out[:] = plain
    return out


def _parts_of(cells: np.ndarray) -> list[str]:
    hours = values_of(cells, "hour")
    return list(PARTS if np.nanmax(hours, initial=0.0) > 0 else PARTS[:-1])


def _number(name: str, part: str, spec: TableSpec, values: np.ndarray) -> Number:
    from sklearn.impute import SimpleImputer  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    fill = 0.0
    if spec.fill != "zero" and np.isfinite(values).any():
        fill = float(SimpleImputer(strategy=spec.fill).fit(values[:, None]).statistics_[0])
    filled = np.where(np.isnan(values), fill, values)[:, None]
    if spec.numbers == "standardize":
        scaler = StandardScaler().fit(filled)
        return Number(name, part, fill, float(scaler.mean_[0]), float(scaler.scale_[0]))
    if spec.numbers == "quantile":
        known = _quantile_transformer(min(QUANTILES, len(values))).fit(filled)
        return Number(name, part, fill, quantiles=tuple(known.quantiles_[:, 0].tolist()))
    return Number(name, part, fill)


def _words(own: TableColumn, spec: TableSpec, cells: np.ndarray) -> Words:
    """The words that are frequent enough, by scikit-learn's encoder; the others stay unknown."""
    from sklearn.preprocessing import OrdinalEncoder  # noqa: PLC0415

    known = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=spec.rare,
        max_categories=spec.most + 1,
    ).fit(cells[:, None])  # fmt: skip
    rare = known.infrequent_categories_[0]
    dropped = set() if rare is None else set(rare.tolist())
    buckets = min(spec.buckets, len(dropped - {ABSENT}) // WORDS_A_BUCKET)
    return Words(own.name, tuple(w for w in known.categories_[0].tolist() if w not in dropped), buckets)


def _codes(cells: np.ndarray, own: Words) -> np.ndarray:
    place = {word: k for k, word in enumerate(own.words, 1)}
    return np.array([own.code(word, place) for word in as_words(cells)], np.float32)


def _quantile_transformer(n: int) -> Any:
    from sklearn.preprocessing import QuantileTransformer  # noqa: PLC0415

    return QuantileTransformer(n_quantiles=n, output_distribution="normal", subsample=None, random_state=0)
