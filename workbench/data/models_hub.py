"""Models of the Hugging Face hub: fetched once, by name, into the place where all its libraries keep them.

Only what fine-tuning reads is fetched: configuration, tokenizer or processor, weights. No code, no pickles.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from workbench.data.hub import hub_address, reach
from workbench.data.report import shown
from workbench.specs.checkpoint_folder import HUB_NAME, hub_cache
from workbench.specs.errors import DataError, LayerError
from workbench.specs.image_folder import any_model

FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "model*.safetensors",
    "model.safetensors.index.json",
)
OFFLINE = "Go online, or copy the model's folder to this machine and use its whole path as source."


def fetch(name: str, *, progress: Callable[[str], None] = lambda words: None, timeout_s: float = 8.0) -> Path:
    """Fetches the model `owner/name`; its folder. What is there already is not fetched again.

    Raises: DataError: a name that is none, the hub out of reach within `timeout_s`, a model that is unknown,
    private, without safetensors, or one that cannot be fine-tuned here.
    """
    where = f"model {shown(name)}"
    if not HUB_NAME.fullmatch(name) or ".." in name:
        raise DataError.of(
            where, "a model's name reads owner/name", "this one does not",
            "Copy it from the model's page on huggingface.co.",
        )  # fmt: skip
    reach(where, name, timeout_s, "models", "model", OFFLINE)
    import huggingface_hub.utils  # noqa: PLC0415 - half a second to import

    library: Any = huggingface_hub
    library.utils.disable_progress_bars()
    progress(f"Fetching {name}")
    try:
        folder = Path(
            library.snapshot_download(
                name, allow_patterns=list(FILES), ignore_patterns=["*/*"], cache_dir=hub_cache(),
                endpoint=hub_address(),
            )
        )  # fmt: skip
    except Exception as error:  # the library raises its own, httpx's and those of the disk
        fact = shown(str(error), 300) or type(error).__name__
        raise DataError.of(where, "the model must arrive whole", fact, "Try again.") from None
    try:
        any_model(name)
    except LayerError as error:
        told = (p.model_copy(update={"where": where, "fix": None}) for p in error.problems)
        raise DataError(*told) from None
    return folder
