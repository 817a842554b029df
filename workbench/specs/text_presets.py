"""Named runs on texts: complete, ready to run, each on data that ships with the product.

Each says what it reaches as it stands, rounded to the careful side: benchmarks/presets.py measures it.

The vocabularies of the shipped sets are known, so that the sizes of what is written are too.
"""

from __future__ import annotations

from typing import Any

from workbench.specs.starts import gpt

Raw = dict[str, Any]

NORM: Raw = {"kind": "layer_norm"}
MINILM = "sentence-transformers/all-MiniLM-L6-v2"  # 22.7 million parameters, 90 MB
SHAKESPEARE = 67  # characters, padding and unknown among them
SHAKESPEARE_BPE = 1000
DATES = 15  # characters of ISO dates


def embedding(width: int, **more: Any) -> Raw:
    return {"kind": "embedding", "embedding_dim": width, **more}


def dropout(p: float) -> Raw:
    return {"kind": "dropout", "p": p}


def linear(out_features: int, **more: Any) -> Raw:
    return {"kind": "linear", "out_features": out_features, **more}


def pool(mode: str) -> Raw:
    return {"kind": "sequence_pool", "mode": mode}


def words(name: str, length: int = 64) -> Raw:
    return {
        "name": name,
        "text": {"tokenizer": "word", "vocabulary": 10_000, "length": length, "lowercase": True},
    }


def characters(name: str, length: int) -> Raw:
    return {"name": name, "text": {"tokenizer": "character", "vocabulary": 500, "length": length}}


def adamw(lr: float, epochs: float, batch: int = 50, **more: Any) -> Raw:
    """AdamW along a cosine after a short warm-up."""
    schedule = {"kind": "cosine", "warmup": 0.1}
    optimizer = {"kind": "adamw", "lr": lr}
    return {"optimizer": optimizer, "schedule": schedule, "batch_size": batch, "epochs": epochs, **more}


def windows(size: int, n: int) -> list[Raw]:
    """Filters over `size` words, and the strongest answer of each."""
    filters = {"kind": "conv1d", "out_channels": n, "kernel_size": size, "padding": size // 2}
    return [filters, {"kind": "relu"}, pool("max")]


def stack(kind: str, width: int, layers: int, heads: int, inner: int, **more: Any) -> list[Raw]:
    """Embedding, positions, Transformer layers and a last norm."""
    block = {"kind": kind, "nhead": heads, "dim_feedforward": inner, **more}
    return [
        embedding(width),
        {"kind": "positions"},
        {"kind": "repeat", "times": layers, "layers": [block]},
        NORM,
    ]


def seq2seq(width: int, layers: int, heads: int, inner: int, vocabulary: int, **more: Any) -> Raw:
    """A Transformer's encoder and decoder."""
    return {
        "family": "seq2seq",
        "layers": stack("transformer_encoder_layer", width, layers, heads, inner, **more),
        "decoder": [
            *stack("transformer_decoder_layer", width, layers, heads, inner, **more), linear(vocabulary),
        ],
    }  # fmt: skip


def recurrent(kind: str) -> list[Raw]:
    layer = {"kind": kind, "hidden_size": 96, "bidirectional": True}
    return [embedding(128), dropout(0.3), layer, pool("max"), dropout(0.4), linear(2)]


# name, title, about, tree; and a checkpoint that must be fetched first
TEXT_PRESETS: list[tuple[Any, ...]] = [
    (
        "lstm-classifier",
        "An LSTM that reads an image row by row",
        "Two layers of 128 over the rows of 28×28 pictures: 214,282 parameters. Accuracy above 0.82 on the "
        "test split.",
        {
            "data": {"name": "fashion-mnist-sample"},
            "model": {
                "family": "rnn",
                "layers": [
                    {"kind": "image_rows"}, {"kind": "lstm", "hidden_size": 128, "num_layers": 2},
                    pool("last"), linear(10),
                ],
            },
            "training": adamw(2e-3, 5, 64, clip_norm=1.0),
        },
    ),
    (
        "text-lstm",
        "An LSTM that reads both ways",
        "Reads a text from both ends and keeps the strongest states. A good first try on sentences. Accuracy "
        "above 0.98 on the test split.",
        {
            "data": words("sms-spam"),
            "model": {"family": "rnn", "layers": recurrent("lstm")},
            "training": adamw(2e-3, 3),
        },
    ),
    (
        "text-gru",
        "A GRU that reads both ways",
        "Like the LSTM with a quarter fewer weights. Accuracy above 0.98 on the test split.",
        {
            "data": words("sms-spam"),
            "model": {"family": "rnn", "layers": recurrent("gru")},
            "training": adamw(2e-3, 3),
        },
    ),
    (
        "text-cnn",
        "Filters over three, four and five words",
        "Kim's network of 2014: quick, and hard to beat on short texts without pretraining. Accuracy above "
        "0.97 on the test split.",
        {
            "data": words("sms-spam"),
            "model": {
                "family": "cnn",
                "layers": [
                    embedding(128), dropout(0.3),
                    {"kind": "parallel", "branches": [windows(size, 100) for size in (3, 4, 5)]},
                    dropout(0.5), linear(2),
                ],
            },
            "training": adamw(1e-3, 4),
        },
    ),
    (
        "text-ngrams",
        "The mean of all words beside filters over two and three",
        "For small sets of opinions: little to learn, and word order where it counts. Accuracy above 0.82 on "
        "the test split.",
        {
            "data": words("uci-sentiment"),
            "model": {
                "family": "cnn",
                "layers": [
                    embedding(128), dropout(0.4),
                    {"kind": "parallel", "branches": [[pool("mean")], windows(2, 64), windows(3, 64)]},
                    dropout(0.5), linear(2),
                ],
            },
            "training": adamw(2e-3, 8, 32),
        },
    ),
    (
        "text-encoder",
        "One Transformer layer for short texts",
        "Attention over a sentence, its mean, and a decision. Its heads can be watched as they learn. "
        "Accuracy above 0.79 on the test split.",
        {
            "data": words("uci-sentiment"),
            "model": {
                "family": "encoder",
                "layers": [
                    embedding(64), {"kind": "positions"}, dropout(0.3),
                    {"kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 256,
                     "norm_first": True},
                    NORM, pool("mean"), dropout(0.3), linear(2),
                ],
            },
            "training": adamw(1e-3, 6, 32),
        },
    ),
    (
        "transformer-encoder",
        "Two Transformer layers with a class token",
        "128 wide, four heads, norms behind: 396,544 weights in its layers, as the article writes it out. "
        "Accuracy above 0.97 on the test split.",
        {
            "data": words("sms-spam"),
            "model": {
                "family": "encoder",
                "layers": [
                    embedding(128), {"kind": "positions"}, {"kind": "class_token"},
                    {"kind": "repeat", "times": 2, "layers": [
                        {"kind": "transformer_encoder_layer", "nhead": 4, "dim_feedforward": 512}]},
                    pool("first"), linear(2),
                ],
            },
            "training": adamw(5e-4, 4, clip_norm=1.0),
        },
    ),
    (
        "gpt-char",
        "A small GPT, letter by letter",
        "Four layers learn to write like Shakespeare in a few minutes; each validation shows a sample. "
        "Perplexity below 6.5 (2.7 bits per character) on the validation split.",
        {
            "data": {**characters("tiny-shakespeare", 64), "test": 0.0},
            "model": {"family": "gpt", "layers": gpt(SHAKESPEARE, 128, 4)},
            "task": {"kind": "language_model"},
            "training": {
                "optimizer": {"kind": "adamw", "lr": 1e-3, "beta2": 0.99, "weight_decay": 0.1},
                "schedule": {"kind": "cosine", "warmup": 0.05, "final": 0.1},
                "batch_size": 12, "epochs": None, "steps": 2000, "validate_every": 0.2, "clip_norm": 1.0,
            },
        },
    ),
    (
        "gpt-bpe",
        "A small GPT on parts of words",
        "Reads and writes frequent parts of words; embedding and last layer share their weights. Perplexity "
        "below 42 (2.3 bits per character) on the validation split.",
        {
            "data": {
                "name": "tiny-shakespeare", "test": 0.0,
                "text": {"tokenizer": "bpe", "vocabulary": SHAKESPEARE_BPE, "length": 64},
            },
            "model": {"family": "gpt", "layers": gpt(SHAKESPEARE_BPE, 128, 3), "tie_embeddings": True},
            "task": {"kind": "language_model"},
            "training": {
                "optimizer": {"kind": "adamw", "lr": 1e-3, "beta2": 0.99, "weight_decay": 0.1},
                "schedule": {"kind": "cosine", "warmup": 0.05, "final": 0.1},
                "batch_size": 16, "epochs": None, "steps": 1500, "validate_every": 0.5, "clip_norm": 1.0,
            },
        },
    ),
    (
        "dates-seq2seq",
        "Written dates into ISO dates",
        "Encoder and decoder, letter by letter; watch the cross-attention find day, month and year. Exact "
        "match above 0.98 on the test split.",
        {
            "data": characters("iso-dates", 72),
            "model": seq2seq(64, 2, 4, 128, DATES, dropout=0.0, norm_first=True),
            "task": {"kind": "translation"},
            "training": adamw(2e-3, 14, 64, clip_norm=1.0),
        },
    ),
    (
        "lstm-seq2seq",
        "An LSTM that writes while it looks back",
        "Bidirectional LSTM and a decoder with attention, as translators were before Transformers. Exact "
        "match above 0.98 on the test split.",
        {
            "data": characters("iso-dates", 72),
            "model": {
                "family": "seq2seq",
                "layers": [embedding(48), {"kind": "lstm", "hidden_size": 64, "bidirectional": True}],
                "decoder": [embedding(48), {"kind": "lstm_decoder", "hidden_size": 128}, linear(DATES)],
            },
            "task": {"kind": "translation"},
            "training": adamw(3e-3, 12, 64, clip_norm=1.0),
        },
    ),
    (
        "transformer-seq2seq",
        "A small Transformer that translates",
        "64 wide, four heads, two and two layers: 233,728 weights in them, as torch.nn.Transformer has. BLEU "
        "above 8 on the test split.",
        {
            "data": {
                "name": "tatoeba-fra-eng-small",
                "text": {"tokenizer": "word", "vocabulary": 2000, "length": 24, "lowercase": True},
            },
            "model": seq2seq(64, 2, 4, 256, 2000),
            "task": {"kind": "translation", "label_smoothing": 0.1},
            "training": adamw(2e-3, 12, 64, clip_norm=1.0),
        },
    ),
    (
        "bert-classifier",
        "A pretrained text encoder, fine-tuned",
        "Begins with weights that have read much text. Both sources take the whole path of any model's "
        "folder, or a name that `workbench fetch` fetched. Accuracy above 0.98 on the test split.",
        {
            "data": {
                "name": "sms-spam",
                "text": {"tokenizer": "pretrained", "source": MINILM, "length": 128},
            },
            "model": {
                "family": "pretrained",
                "layers": [
                    {
                        "kind": "pretrained_text",
                        "source": MINILM,
                        "pooling": "mean",
                        "freeze_embeddings": True,
                        "lr_decay": 0.85,
                    },
                ],
            },
            "training": {
                "optimizer": {"kind": "adamw", "lr": 2e-4, "weight_decay": 0.01},
                "schedule": {"kind": "cosine", "warmup": 0.1},
                "batch_size": 16,
                "epochs": 3,
            },
        },
        MINILM,
    ),
]  # fmt: skip
