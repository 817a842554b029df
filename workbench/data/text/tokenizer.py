"""Tokenizers, by the `tokenizers` library: trained on the training texts alone, kept as its own JSON.

Ids: 0 padding, 1 unknown; of translations also 2 begin and 3 end. Notation: V entries in all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from workbench.specs.data import TextSpec

PAD, UNKNOWN, BEGIN, END = "[PAD]", "[UNK]", "[BOS]", "[EOS]"
UNK = 1
UNKNOWNS = (UNKNOWN, "<unk>")  # the word for what a pretrained model's tokenizer does not know
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
        text = str(self._backend.decode(shown, skip_special_tokens=False))
        for unknown in (UNKNOWN,) if self._pad is None else UNKNOWNS:
            text = text.replace(unknown, "�")
        return text

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

    def _readable(self, i: int, token: str) -> str:
        if token in (PAD, UNKNOWN, BEGIN, END) or (self._pad is not None and i in self._silent):
            return token
        return str(self._backend.decode([i], skip_special_tokens=False)) or token


def trained(texts: Iterable[str], spec: TextSpec, special: Sequence[str]) -> Tokenizer:
    """A tokenizer of `spec` trained on these texts. special: the first ids, PAD and UNKNOWN first.

    Check: texts that were not seen cannot change it; the same texts give the same tokenizer.
    """
    common: dict[str, Any] = {"vocab_size": spec.vocabulary, "min_frequency": spec.min_frequency}
    common["show_progress"] = False
    trainer: Any
    if spec.tokenizer == "character":
        backend = Backend(models.WordLevel(unk_token=UNKNOWN))
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        backend.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(special_tokens=list(special), **common)
    elif spec.tokenizer == "word":
        backend = Backend(models.WordLevel(unk_token=UNKNOWN))
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(WORD), "isolated")]
        )
        trainer = trainers.WordLevelTrainer(special_tokens=list(special), **common)
    elif spec.tokenizer == "bpe":
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        common["initial_alphabet"] = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(special_tokens=list(special), **common)
    else:
        backend = Backend(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=100))
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece(prefix="##")
        trainer = trainers.WordPieceTrainer(special_tokens=list(special), **common)
    if spec.lowercase:
        backend.normalizer = normalizers.Lowercase()
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend, spaced=spec.tokenizer == "word")


WORD = r"\w+(?:['’]\w+)*|[^\w\s]"  # a word with its apostrophes, or one other sign


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
    """Words with spaces between them, signs close to the word they follow."""
    out = ""
    for token in tokens:
        text = "�" if token == UNKNOWN else token
        close = not out or (text in CLOSING) or out[-1] in OPENING
        out += text if close else f" {text}"
    return out


CLOSING = set(".,;:!?)]}%’'…”")
OPENING = set("([{“‘#$")
