"""Which device a run uses, said before anything is put on it."""

from __future__ import annotations

import torch
from torch import nn

from workbench.specs.errors import RunError


def pick(name: str = "auto") -> torch.device:
    """The torch device for "auto", "cpu", "cuda", "cuda:1" or "mps"; auto takes cuda, then mps, then cpu.

    Raises: RunError when the machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise _absent(name, f"torch sees {count} CUDA device(s)")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise _absent(name, "torch sees no Apple GPU")
    return device


def place(model: nn.Module, device: torch.device, half: bool = False) -> nn.Module:
    """The model on the device, its filters in the memory format that convolutions are fastest in.

    Channels last takes a third off a convolutional step on a CPU (docs/adr/0002-plain-loop.md), and is
    what tensor cores want in half precision. Shapes, names and saved files do not change.
    """
    model.to(device)
    if device.type == "cpu" or (device.type == "cuda" and half):
        # mypy does not know the overload that takes a format alone
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def describe(device: torch.device) -> str:
    """The device for people: "cpu, 2 threads" or "cuda:0 NVIDIA H200"."""
    if device.type == "cuda":
        return f"{device} {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' if threads != 1 else ''}"
    return str(device)


def synchronize(device: torch.device) -> None:
    """Waits until everything asked of the device is done, so that a clock tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free_bytes(device: torch.device) -> int:
    """Memory that could be taken on the device now; a careful guess where it cannot be asked."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 * 2**30


def _absent(name: str, fact: str) -> RunError:
    return RunError.of(
        "training.device",
        f"the device `{name}` must exist on this machine",
        fact,
        "Set device to auto or cpu.",
    )
