"""The number format of the forward pass, by torch's autocast; fp16 with a loss scale."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """name: "fp32", "bf16" or "fp16". scaler is None unless fp16 needs one."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = name
        self._device = device.type
        self.scaler = torch.amp.GradScaler(device.type) if name == "fp16" else None

    def autocast(self) -> AbstractContextManager[object]:
        """Around a forward pass. Weights stay float32."""
        if self.name == "fp32":
            return nullcontext()
        cast: AbstractContextManager[object] = torch.autocast(self._device, dtype=DTYPES[self.name])
        return cast
