// What is said while there is nothing to see: what the matter is, and what happens next.

export const STATES = {
  queued: "Waiting for a free slot",
  starting: "Loading the data and building the model",
  running: "Training",
  paused: "Loaded and waiting; resume continues at once",
  parked: "Saved, its memory given back; resume loads it and goes on",
  held: "Waits in the queue until it is released",
  stopping: "Evaluating and writing its last checkpoint",
  finished: "Reached its end",
  stopped: "Ended early because someone asked; the model is kept",
  failed: "Ended by an error that is recorded",
  lost: "Its process is gone without a word",
};

export const ACTIVE = new Set(["starting", "running", "paused", "stopping"]);
export const OVER = new Set(["finished", "stopped", "failed", "lost"]);

/** [headline, sentence] for a view that waits for `what` ("the first numbers"). */
export function waiting(feed, what, when) {
  const state = feed.status?.state;
  if (feed.state === "gone") return ["This run no longer exists", "It was deleted. Choose another run above."];
  if (!feed.status) {
    return feed.state === "connecting"
      ? ["Connecting to the run", "This takes a moment."]
      : ["The workbench does not answer", "The page keeps trying and goes on by itself once the server is back."];
  }
  if (state === "queued") return ["In the queue", `The run starts as soon as the training service is free; ${what} then appear here.`];
  if (state === "starting") return ["Starting", `The data is being loaded and the model built; ${what} appear within seconds.`];
  if (OVER.has(state)) return [`No ${what.replace(/^the (first )?/, "")}`, `The run ended as ${state} before it recorded any.`];
  return [`Waiting for ${what}`, when];
}
