"""Verbs before a run: `preflight` and `range-test`."""

from __future__ import annotations

from typing import Any

from workbench.cli.terminal import Changes, Json, SpecPath, print_json, read_spec, the_store, worked_out


def preflight(spec: SpecPath, changes: Changes = None, as_json: Json = False) -> None:
    """A few real steps: time of the whole run, memory and what fills it, largest batch, bottleneck.

    Nothing is kept. The exit code is 2 when the run cannot fit.
    """
    from workbench.jobs.check import check
    from workbench.jobs.outlook import outlook, size

    store, wanted = the_store(), read_spec(spec, changes)
    found = _waited("preflight", store, wanted)
    if as_json:
        print_json(found)
        return
    report = check(store, wanted)
    for head, sentence in outlook(store, wanted, report, found):
        print(f"{head + ':':12} {sentence}")
    for problem in report.problems:
        print(f"{'Mind:':12} {problem.sentence()}")
    memory = found["memory"]
    parts = ", ".join(
        f"{name} {size(memory[name])}" for name in memory if name not in ("total", "at") and memory[name]
    )
    print(f"{'Measured:':12} {found['step_s'] * 1e3:.3g} ms an update on {found['device']}")
    print(f"{'Peak:':12} {size(memory['total'])} ({parts}), at the {memory['at']}")
    samples = found["samples"]
    most = (
        f"all training {samples} fit into one"
        if found["largest_is_all"]
        else f"{found['largest_batch']:,} {samples}"
    )
    print(f"{'Largest:':12} batch: {most}")
    slow = f"preparing {samples}" if found["bottleneck"] == "data" else "forward, backward and update"
    print(f"{'Bottleneck:':12} {slow}; {samples} take {found['data_share']:.0%} of a step")
    if found["writing_s"]:
        print(f"{'Writing:':12} {found['writing_s']:.2g} s at each validation")


def range_test(spec: SpecPath, changes: Changes = None, as_json: Json = False) -> None:
    """A short training with a growing learning rate, and the rate that its loss suggests.

    Nothing is kept. Ctrl-C ends it.
    """
    found = _waited("range_test", the_store(), read_spec(spec, changes))
    if as_json:
        print_json(found)
        return
    print("rate,loss,smoothed")
    for row in zip(found["rates"], found["losses"], found["smoothed"], strict=True):
        print(",".join(f"{value:.6g}" for value in row))
    if found["suggestion"] is None:
        print("No suggestion: the loss did not fall at any rate.")
    else:
        print(f"Suggested: --set training.optimizer.lr={found['suggestion']:g} (steepest fall of the loss)")


def _waited(kind: Any, store: Any, spec: Any) -> dict[str, Any]:
    from workbench.jobs.trials import result

    with worked_out("Starting") as tick:
        return result(store, kind, spec, tick)
