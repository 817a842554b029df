"""Tokenizers, by the `tokenizers` library: trained on the training texts alone, kept as its own JSON.

Ids: 0 padding, 1 unknown; of translations also 2 begin and 3 end. Notation: V entries in all.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from workbench.specs.data import TextSpec

PAD, UNKNOWN, BEGIN, END = "[PAD]", "[UNK]", "[BOS]", "[EOS]"
UNK = 1
UNKNOWNS = (UNKNOWN, "<unk>")  # the word for what a pretrained model's tokenizer does not know
BYTES = 256
CHARACTERS = 20_000  # of a piece of a long text that is tokenized at once


class Tokenizer:
    """Text to ids and back. spaced: whether tokens are words that stand apart in a text.

    pad, size: of a tokenizer that a pretrained model brings, the number of its padding there and of all its
    entries. Its ids are the model's own but that padding and 0 have changed places: padding is 0 everywhere
    here. It adds what the model expects around a text, such as [CLS] and [SEP], and cuts texts within them.
    """

    def __init__(
        self, backend: Backend, spaced: bool = False, pad: int | None = None, size: int | None = None
    ) -> None:
        if pad is None:  # a text that spells [EOS] means those letters
            backend.encode_special_tokens = True
        self._backend = backend
        self._spaced = spaced
        self._pad = pad
        self._size = size

    @property
    def size(self) -> int:
        """V, special tokens included."""
        return self._size or int(self._backend.get_vocab_size())

    @property
    def vocabulary(self) -> list[str]:
        """All entries, by id."""
        if self._pad is not None:  # numbers that no token has are there too
            return [self._backend.id_to_token(self._swapped(i)) or "" for i in range(self.size)]
        return [token for token, _ in sorted(self._backend.get_vocab().items(), key=lambda pair: pair[1])]

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without begin and end; those of a pretrained model's tokenizer with them."""
        if self._pad is not None:
            return self.encode_many([text])[0]
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many texts, on all cores."""
        pretrained = self._pad is not None
        found = [e.ids for e in self._backend.encode_batch_fast(list(texts), add_special_tokens=pretrained)]
        if not self._pad:  # 0 there too, or a tokenizer of our own
            return found
        return [[self._swapped(i) for i in ids] for ids in found]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Each id as people read it; what a character-level or byte-level tokenizer hides is shown."""
        found = []
        for i in map(self._swapped, map(int, ids)):
            token = self._backend.id_to_token(i) or "?"
            found.append(token if self._spaced else self._readable(i, token))
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; padding, begin and end are left out, and unknown ones are `�`."""
        shown = [i for i in map(self._swapped, map(int, ids)) if i not in self._silent]
        if self._spaced:
            return _spaced(self.tokens(shown))
        runs: list[list[int]] = [[]]  # a text may spell [UNK] itself: unknown ones are told by their number
        for i in shown:
            if i in self._unknown:
                runs.append([])
            else:
                runs[-1].append(i)
        return "�".join(str(self._backend.decode(run, skip_special_tokens=False)) for run in runs)

    def to_json(self) -> str:
        kept = {"spaced": self._spaced, "tokenizer": json.loads(self._backend.to_str())}
        if self._pad is not None:
            kept |= {"pad": self._pad, "size": self.size}
        return json.dumps(kept)

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        tree = json.loads(text)
        backend = Backend.from_str(json.dumps(tree["tokenizer"]))
        return cls(backend, tree["spaced"], tree.get("pad"), tree.get("size"))

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        return cls.from_json(path.read_text(encoding="utf-8"))

    def _swapped(self, i: int) -> int:
        """The tokenizer's own number of ours, and the reverse."""
        if not self._pad:
            return i
        return self._pad if i == 0 else 0 if i == self._pad else i

    @cached_property
    def _silent(self) -> set[int]:
        if self._pad is not None:
            added = self._backend.get_added_tokens_decoder()
            return {i for i, token in added.items() if token.special and token.content not in UNKNOWNS}
        return {i for i in (self._backend.token_to_id(t) for t in (PAD, BEGIN, END)) if i is not None}

    @cached_property
    def _unknown(self) -> set[int]:
        words = (UNKNOWN,) if self._pad is None else UNKNOWNS
        return {i for i in map(self._backend.token_to_id, words) if i is not None}

    def _readable(self, i: int, token: str) -> str:
        if token in (PAD, UNKNOWN, BEGIN, END) or (self._pad is not None and i in self._silent):
            return token
        return str(self._backend.decode([i], skip_special_tokens=False)) or token


def trained(
    texts: Iterable[str] | Iterable[list[str]],
    spec: TextSpec,
    special: Sequence[str],
    keep_lines: bool = False,
) -> Tokenizer:
    """A tokenizer of `spec` trained on these texts, of at most `spec.vocabulary` entries. texts: read once or
    twice, so no mere iterator. special: the first
    ids, PAD and UNKNOWN first. keep_lines: whether the end of a line is a token, where words are.

    Check: texts that were not seen cannot change it; the same texts give the same tokenizer.
    """
    common: dict[str, Any] = {"vocab_size": spec.vocabulary, "min_frequency": spec.min_frequency}
    common |= {"show_progress": False, "special_tokens": list(special)}
    letters = spec.vocabulary - len(special)
    normalizer = normalizers.Sequence(
        [normalizers.NFC(), *([normalizers.Lowercase()] if spec.lowercase else [])]
    )
    words = pre_tokenizers.Split(Regex(f"\\n|{WORD}" if keep_lines else WORD), "removed", invert=True)
    trainer: Any
    if spec.tokenizer == "character":
        backend = Backend(models.WordLevel(unk_token=UNKNOWN))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        backend.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(**common)
    elif spec.tokenizer == "word":
        backend = Backend(models.WordLevel(unk_token=UNKNOWN))
        backend.pre_tokenizer = words
        trainer = trainers.WordLevelTrainer(**common)
    elif spec.tokenizer == "bpe":
        backend = Backend(models.BPE(unk_token=UNKNOWN))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        if letters >= 2 * BYTES:  # else bytes that the texts lack would leave no room for parts of words
            common["initial_alphabet"] = sorted(pre_tokenizers.ByteLevel.alphabet())
        else:
            common["initial_alphabet"] = _commonest(texts, letters, lambda text: _as_bytes(normalizer, text))
        trainer = trainers.BpeTrainer(limit_alphabet=letters, **common)
    else:
        backend = Backend(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=100))
        backend.pre_tokenizer = words
        backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
        blank = re.compile(r"[^\S\n]" if keep_lines else r"\s")
        found = _commonest(
            texts, max(1, letters // 2), lambda text: blank.sub("", normalizer.normalize_str(text))
        )
        common |= {"initial_alphabet": found, "special_tokens": [*special, *(f"##{c}" for c in found)]}
        trainer = trainers.WordPieceTrainer(limit_alphabet=len(found), **common)
    backend.normalizer = normalizer
    backend.train_from_iterator(texts, trainer)
    if spec.tokenizer == "wordpiece":
        backend = _without_extra(backend, special)
    return Tokenizer(backend, spaced=spec.tokenizer in ("word", "wordpiece"))


def _without_extra(trained: Backend, special: Sequence[str]) -> Backend:
    """The same tokenizer, in which the letters inside of words are no special tokens. They were for the
    training alone: the library numbers them as they come out of a hash table, and ties between parts of words
    go by number, so that two trainings on the same texts would differ."""
    vocabulary = trained.get_vocab()
    backend = Backend(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=100))
    backend.normalizer, backend.pre_tokenizer = trained.normalizer, trained.pre_tokenizer
    backend.decoder = trained.decoder
    backend.add_special_tokens(list(special))
    return backend


def _commonest(
    texts: Iterable[str] | Iterable[list[str]], most: int, letters: Callable[[str], str]
) -> list[str]:
    """The letters that occur most, among equals the lower one first; the library leaves that to chance."""
    counts: Counter[str] = Counter()
    for part in texts:
        for text in [part] if isinstance(part, str) else part:
            counts.update(letters(text))
    return sorted(sorted(counts, key=lambda c: (-counts[c], c))[:most])


def _as_bytes(normalizer: Any, text: str) -> str:
    return "".join(piece for piece, _ in _BYTES.pre_tokenize_str(normalizer.normalize_str(text)))


_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)


# A word with its apostrophes, a character of a script that is written without blanks, or one other sign.
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}\p{Myanmar}"
_LETTERS = rf"[\w&&[^{_ALONE}]]+"
WORD = rf"{_LETTERS}(?:['’]{_LETTERS})*|[{_ALONE}]|[^\w\s]"


def pieces(text: str, size: int = CHARACTERS) -> Iterator[str]:
    """A long text in pieces that end where a line or a word does; together they are the text."""
    at = 0
    while at < len(text):
        stop = min(len(text), at + size)
        if stop < len(text):
            cut = max(text.rfind("\n", at, stop), text.rfind(" ", at, stop))
            stop = cut + 1 if cut > at else stop
        yield text[at:stop]
        at = stop


def _spaced(tokens: Sequence[str]) -> str:
    """Words with blanks between them, parts of words (`##ing`) joined, signs close to what they follow."""
    out: list[str] = []
    close = True
    for token in tokens:
        text = "�" if token == UNKNOWN else token
        if len(text) > 2 and text.startswith("##"):
            out.append(text[2:])
        elif close or text in CLOSING or text == "\n":
            out.append(text)
        else:
            out += [" ", text]
        close = text in OPENING or text == "\n"
    return "".join(out)


CLOSING = set(".,;:!?)]}%’'…”")
OPENING = set("([{“‘#$")
