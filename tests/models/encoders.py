"""Small text encoders as their makers would save them: random weights as safetensors, a trained tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from workbench.specs.encoders import FAMILIES

SENTENCES = [
    "a rare and lightly entertaining look behind the curtain",
    "the film is long and dull and never comes alive",
    "a warm , funny and moving story of two brothers",
    "there is nothing here that one has not seen before",
    "it is the best film of the year , and the saddest",
    "the jokes are old and the story is older still",
]
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # padding is 1 and not 0


def saved(kind: str, folder: Path, *, labels: int | None = 3, seed: int = 0, **config: Any) -> Path:
    """A checkpoint of that kind. labels: classes of its head; None: as AutoModel saves it, without one."""
    from transformers import AutoModel, AutoModelForSequenceClassification

    folder.mkdir(parents=True, exist_ok=True)
    size = tokenizer(folder / "tokenizer.json", ROBERTA if FAMILIES[kind].offset else BERT)
    settings = config_of(kind, size, **config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if labels is None:
            network = AutoModel.from_config(settings)
        else:
            settings.num_labels = labels
            network = AutoModelForSequenceClassification.from_config(settings)
        for parameter in network.parameters():  # biases and norms too: zeros and ones would hide a mistake
            torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    return folder


def config_of(kind: str, vocabulary: int, **changed: Any) -> Any:
    """A network of 3 layers with 2 heads, 16 wide."""
    from transformers import CONFIG_MAPPING

    pad = 1 if FAMILIES[kind].offset else 0
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}
    else:
        sizes = {
            "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
        }  # fmt: skip
    sizes |= {"vocab_size": vocabulary, "max_position_embeddings": 40, "pad_token_id": pad}
    if kind in ("albert", "electra"):
        sizes["embedding_size"] = 8
    if kind == "rembert":
        sizes |= {"input_embedding_size": 8, "output_embedding_size": 8}
    if kind.startswith("deberta"):
        sizes |= {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "pooler_hidden_size": 16}
    special = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    return CONFIG_MAPPING[kind](**{**sizes, **special, **changed})


def tokenizer(path: Path, special: tuple[str, ...] = BERT) -> int:
    """Trains WordPiece on the sentences; how many entries it has."""
    begin, end, unknown = (special[i] for i in ((2, 3, 1) if special == BERT else (0, 2, 3)))
    made = Tokenizer(models.WordPiece(unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=list(special), show_progress=False)
    made.train_from_iterator(SENTENCES, trainer)
    ids = [(word, made.token_to_id(word)) for word in (begin, end)]
    made.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", special_tokens=ids)
    made.enable_padding(pad_id=made.token_to_id("[PAD]" if special == BERT else "<pad>"), length=32)
    made.save(str(path))
    return int(made.get_vocab_size())


def sharded(folder: Path) -> None:
    """The same weights in two files and an index."""
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: tensors[name] for name in some}, folder / file, {"format": "pt"})
    where = {name: file for file, some in parts.items() for name in some}
    index = {"metadata": {}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
