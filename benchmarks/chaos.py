"""Three hundred `kill -9` at random moments, in everything that runs, and what is lost by them.

    python -m benchmarks.chaos [kills] [seed]

The harness is that of tests/chaos: a real home with app, supervisor, runs and a viewer on the WebSocket.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.report import Figure, median, percentile, report
from tests.chaos.house import House
from tests.chaos.monkey import Monkey, Verdict
from tests.chaos.specs import victims

KILLS = 300
SEED = 3
TRUE_WITHIN_S = 5.0
WORKER = ("worker", "worker in a checkpoint", "worker in a database write", "paused worker")


def main(kills: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder, House(Path(folder) / "home") as house:
        verdict = Monkey(house, victims(), seed, lambda text: print(f"  {text}", flush=True)).play(kills)
    for fault in verdict.faults():
        print(f"  FAULT {fault}", flush=True)
    report(
        "chaos",
        f"`kill -9` at random moments (seed {seed}) in {verdict.took_s / 60:.0f} minutes of training, on a "
        "home with app, supervisor, queue and a viewer; every run is resumed to its end and compared, bit "
        "for bit, with an undisturbed run of the same spec.",
        figures(verdict),
    )


def figures(verdict: Verdict) -> list[Figure]:
    seen, runs = verdict.seen, verdict.runs
    by_kind = ", ".join(f"{n} {kind}" for kind, n in sorted(verdict.kills.items(), key=lambda item: -item[1]))
    worst = max(seen.longest_false.values(), default=0.0)
    left = len(verdict.failures) + len(seen.stuck)
    found = [
        Figure("kills", verdict.kills.total(), "", note=by_kind),
        Figure("runs brought to their end", runs, "", n=runs,
               note=f"{verdict.resumed} resumes, {verdict.from_checkpoint} of them from a checkpoint"),
        Figure("kills that left half a checkpoint behind", verdict.half_written, "", note="never used"),
        _none("lost: runs, steps, checkpoints, or a history that is not the undisturbed one",
              len(verdict.losses), runs),
        _none("states shown falsely for more than 5 s, in store or app", len(seen.false), seen.looks),
        _none("finished runs taken back", len(seen.taken_back), runs),
        _none("zombies, processes left over, stuck queues, runs stuck at 100 %, waits in vain", left, 1),
        Figure("longest false state seen", worst, "s", "< 5 s", worst < TRUE_WITHIN_S, seen.looks),
        Figure("time in which the machine let nobody look", seen.halted, "s", note="not counted"),
        Figure("longest wait of a queue for a supervisor to get warm", seen.longest_wait, "s"),
    ]  # fmt: skip
    found += _seconds("worker killed, until the store is true", _of(verdict.store_s, *WORKER), True)
    found += _seconds("worker killed, until the screen is true", _of(verdict.app_s, *WORKER), True)
    both = _of(verdict.app_s, "supervisor and worker")
    found += _seconds("supervisor and worker killed, until the screen is true", both, True)
    app = _of(verdict.app_s, "app", "app and worker", "app, supervisor and worker")
    found += _seconds("app killed and started again, until the screen is true", app, False)
    found += _seconds(
        "supervisor killed, until the next one serves", _of(verdict.store_s, "supervisor"), False
    )
    found += _seconds("answering process killed, until it answers", _of(verdict.store_s, "answering"), False)
    found += _seconds("browser killed, until it shows the truth again", _of(verdict.app_s, "viewer"), False)
    return found


def _of(times: dict[str, list[float]], *kinds: str) -> list[float]:
    return [value for kind in kinds for value in times.get(kind, [])]


def _none(what: str, count: int, n: int) -> Figure:
    return Figure(what, count, "", "0", count == 0, n)


def _seconds(what: str, values: list[float], is_promised: bool) -> list[Figure]:
    """Median, with p95 and maximum beside it; the promise is about the maximum."""
    if not values:
        return []
    worst = max(values)
    note = f"p95 {percentile(values, 0.95):.2f} s, max {worst:.2f} s"
    target = ("max < 5 s", worst < TRUE_WITHIN_S) if is_promised else ("", None)
    return [Figure(f"{what}, median", median(values), "s", *target, len(values), note)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else KILLS, int(sys.argv[2]) if len(sys.argv) > 2 else SEED)
