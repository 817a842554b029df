"""Loads, once, what every run needs, so that a forked run starts with all of it in memory.

Nothing here may start a thread, touch a GPU, or run a backward pass: a thread pool does not survive
a fork, CUDA refuses to work in a child of a process that has initialised it, and in CUDA builds the
first backward pass starts autograd's device threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from typing import Any

import PIL.Image
import torch
import torchinfo

from workbench.worker import answering, train

LOADED = (answering, train, torchinfo)  # imported for the effect of having been imported


def warm_up() -> None:
    """Reach the imports that torch puts off until first use, in this single-threaded process."""
    torch.set_num_threads(1)
    PIL.Image.init()  # all image formats
    with _no_cuda():
        layers: list[torch.nn.Module] = [
            torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Flatten(), torch.nn.Linear(18, 2),
        ]  # fmt: skip
        model = torch.nn.Sequential(*layers)
        with torch.no_grad():
            scores = model(torch.zeros(2, 1, 8, 8))
            torch.nn.functional.cross_entropy(scores, torch.zeros(2, dtype=torch.int64))
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # The first optimizer pulls in torch._dynamo and 800 more modules: 1.6 s on 2 cores.
        for make in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
            optimizer = make(model.parameters(), lr=0.1)
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    gc.collect()
    gc.freeze()  # children share these pages; a collection would touch, and so copy, every one of them
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def _no_cuda() -> Iterator[None]:
    """Optimizers ask torch.cuda.is_available(), which initialises the driver: answer for it."""
    cuda: Any = torch.cuda
    asked = cuda.is_available
    cuda.is_available = lambda: False
    try:
        yield
    finally:
        cuda.is_available = asked
