"""What `make screenshots` shows: each state of each page, how it is reached, and the page that lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Locator, Page

LOOKS = {"": (1440, "light"), "-dark": (1440, "dark"), "-800": (800, "light"), "-800-dark": (800, "dark")}
PATIENCE_MS = 30_000
Act = Callable[[Page], None]


@dataclass(frozen=True)
class Shot:
    """One state of one page. path: with `{names}` of what the home holds; ready: a selector that is there
    once the state is; act: what is done first; calm: wait until the page rests."""

    name: str
    path: str
    about: str
    ready: str = "h1"
    act: Act | None = None
    calm: bool = True


# ---------------------------------------------------------------- what is done before a picture


def press(selector: str) -> Act:
    def act(page: Page) -> None:
        page.locator(selector).first.click()

    return act


def then(*acts: Act) -> Act:
    def act(page: Page) -> None:
        for one in acts:
            one(page)

    return act


def wait(selector: str) -> Act:
    def act(page: Page) -> None:
        page.locator(selector).first.wait_for(timeout=PATIENCE_MS)

    return act


def choose(n: int) -> Act:
    """Mark the first `n` rows of the table of runs."""

    def act(page: Page) -> None:
        boxes: Locator = page.locator(".wb-runs .row input[type=checkbox]")
        for i in range(n):
            boxes.nth(i).check()
        page.wait_for_timeout(1500)

    return act


def scroll(selector: str) -> Act:
    def act(page: Page) -> None:
        page.locator(selector).first.scroll_into_view_if_needed()

    return act


# ---------------------------------------------------------------- what is shown

CANVAS, LAUNCH, PREFLIGHT = ".wbl canvas", ".st-key-launch button", ".st-key-box-preflight"
TRIAL = f"{PREFLIGHT} [data-testid=stBaseButton-secondary]"
EMPTY = "with nothing to show yet: it says what to do next"
FIRST_VISIT = (
    Shot("home-new", "", "Home on the first visit: one click to a run, and the tour in the sidebar",
         ".st-key-grid-images-first img"),
    Shot("tour", "train", "A stop of the tour; the ring shows what it speaks of", LAUNCH, scroll(LAUNCH)),
)  # fmt: skip
NOTHING_YET = (
    Shot("live-empty", "live", f"Live, {EMPTY}"),
    Shot("runs-empty", "runs", f"Runs, {EMPTY}"),
    Shot("compare-empty", "compare", f"Compare, {EMPTY}"),
    Shot("predict-empty", "predict", f"Predict, {EMPTY}"),
)
HALTED = (Shot("live-paused", "live?run={paused}&tab=curves", "Live, paused", ".wbl[data-state=paused]"),)
AT_WORK = (
    Shot("home", "", "Home once there are runs"),
    Shot("data", "data?set=fashion-mnist-sample", "Data: samples by class", ".st-key-grid-images img"),
    Shot("data-balance", "data?set=parking-signs&view=Class+balance", "Data: class balance",
         ".stPlotlyChart"),
    Shot("data-statistics", "data?set=fashion-mnist-sample&view=Statistics", "Data: statistics of the images",
         ".stPlotlyChart"),
    Shot("data-report", "data?set=parking-signs&view=Import+report",
         "Data: what was kept, repaired and refused at import"),
    Shot("data-augmentation", "data?set=fashion-mnist-sample&view=Augmentation&draft={varied}",
         "Data: augmentation, previewed", ".st-key-grid-images-augment img",
         scroll(".st-key-grid-images-augment")),
    Shot("data-add", "data", "Data: adding a set", ".st-key-add button",
         then(press(".st-key-add button"), wait("[role=dialog] h2, [role=dialog] label"))),
    Shot("model", "model?draft={good}", "Model: the layer editor", "[data-parameters]"),
    Shot("model-fault", "model?draft={faulty}", "Model: a layer that cannot work, with its repair",
         "[data-parameters]"),
    Shot("model-drawing", "model?draft={good}&form=Drawing", "Model: the drawing for a slide",
         "[data-parameters]", scroll("[data-testid=stTabs]")),
    Shot("train", "train?draft={good}", "Train: every setting, and in words what will happen", LAUNCH),
    Shot("train-problem", "train?draft={faulty}", "Train: a model that cannot be launched", LAUNCH),
    Shot("train-loading", "train?draft={good}", "Train: the preflight at work", TRIAL,
         then(scroll(".st-key-box-preflight"), press(TRIAL), wait(f"{PREFLIGHT} [data-testid=stProgress]")),
         calm=False),
    Shot("train-preflight", "train?draft={good}", "Train: what a few real steps have shown", TRIAL,
         then(press(TRIAL), wait(f"{PREFLIGHT} .wb-legend"), scroll(".st-key-box-range"))),
    Shot("live-curves", "live?run={run}&tab=curves", "Live, running: curves", CANVAS),
    Shot("live-filters", "live?run={run}&tab=filters", "Live, running: filters", CANVAS),
    Shot("live-maps", "live?run={run}&tab=maps", "Live, running: feature maps", CANVAS),
    Shot("live-predictions", "live?run={run}&tab=predictions", "Live, running: confusion and samples",
         CANVAS),
    Shot("live-log", "live?run={run}&tab=log", "Live, running: events and log", ".wbl-events li"),
    Shot("live-steer", "live?run={run}&tab=curves&panel=steer", "Live: changing settings under way", CANVAS),
    Shot("live-parked", "live?run={parked}&tab=curves", "Live, parked: saved, its memory given back",
         ".wbl[data-state=paused]"),
    Shot("live-failed", "live?run={failed}&tab=curves", "Live, failed, with an offer",
         ".wbl[data-state=failed]"),
    Shot("live-finished", "live?run={ended}&tab=curves", "Live, finished", ".wbl[data-state=finished]"),
    Shot("runs", "runs", "Runs, with one chosen", ".wb-runs .row", choose(1)),
    Shot("compare", "compare?runs={several}", "Compare: three learning rates", "canvas"),
    Shot("predict", "predict?run={ended}", "Predict: a held-out image", ".wb-probabilities"),
)  # fmt: skip
CROWDED = (
    Shot("home-full", "", "Home with a hundred runs"),
    Shot("runs-queue", "runs", "Runs: twenty wait in the queue, some of them held", ".wb-queue li"),
    Shot("runs-full", "runs?sort=-best:val/accuracy", "Runs: a hundred, some with long names",
         ".wb-runs .row", scroll(".st-key-pages")),
    Shot("runs-chosen", "runs?sort=-best:val/accuracy", "Runs: several chosen", ".wb-runs .row",
         then(choose(4), scroll(".st-key-pages"))),
    Shot("compare-full", "compare?runs={many}", "Compare: twelve runs with long names", "canvas"),
    Shot("live-waiting", "live?run={waiting}", "Live: a run that waits in the queue",
         ".wbl[data-state=queued]"),
)  # fmt: skip
ASK = ".st-key-predict-go button"
TOKENS = ".wb-tokens"
TEXTS = (
    Shot("data-texts", "data?set=sms-spam", "Data: texts in classes", ".wb-texts li"),
    Shot("data-passages", "data?set=tiny-shakespeare", "Data: a long text, as it runs", ".wb-passage"),
    Shot("data-pairs", "data?set=iso-dates", "Data: texts and their translations", ".wb-texts.pairs li"),
    Shot("data-tokens", "data?set=sms-spam&view=Tokens", "Data: texts in tokens, their lengths, what is cut",
         TOKENS),
    Shot("model-texts", "model?draft={spam}", "Model: an LSTM on texts", "[data-parameters]"),
    Shot("model-translator", "model?draft={dates}", "Model: an encoder and a decoder", "[data-parameters]"),
    Shot("model-translator-drawing", "model?draft={dates}&form=Drawing", "Model: the drawing of both stacks",
         "[data-parameters]", then(wait(".wb-drawing svg"), scroll(".wb-drawing svg"))),
    Shot("model-mismatch", "model?draft={odd}", "Model: layers for pictures on a set of texts",
         ".st-key-mismatch"),
    Shot("train-texts", "train?draft={gpt}", "Train: a language model", LAUNCH),
    Shot("predict-class", "predict?run={judge}", "Predict: a text in a class", "textarea",
         then(press(ASK), wait(".wb-probabilities"))),
    Shot("predict-continued", "predict?run={writer}", "Predict: a text is continued", "textarea",
         then(press(ASK), wait(".st-key-box-answer .wb-passage"))),
    Shot("predict-translated", "predict?run={translator}", "Predict: a translation", "textarea",
         then(press(ASK), wait(".st-key-box-answer h3"))),
)  # fmt: skip
KINDS = (
    Shot("data-table", "data?set=adult-sample", "Data: a table"),
    Shot("data-series", "data?set=sunspots", "Data: a series", ".stPlotlyChart"),
    Shot("data-masks", "data?set=shapes", "Data: images with their masks", ".st-key-grid-images-masks img"),
    Shot("model-table", "model?draft={table}", "Model: attention over the columns of a table",
         "[data-parameters]"),
    Shot("model-masks", "model?draft={masks}&form=Drawing", "Model: the drawing of a U-Net",
         "[data-parameters]", then(wait(".wb-drawing svg"), scroll(".wb-drawing svg"))),
    Shot("live-columns", "live?run={rows}&tab=columns", "Live: what a model of a table goes by",
         "#wbl-columns [data-column]"),
    Shot("live-column-attention", "live?run={rows}&tab=attention", "Live: attention from column to column",
         "#wbl-attention canvas"),
    Shot("live-rows", "live?run={rates}&tab=rows", "Live: numbers predicted, and how far they are off",
         "#wbl-rows tbody tr"),
    Shot("live-forecast", "live?run={ahead}&tab=forecast", "Live: forecasts against truth, with their band",
         "#wbl-forecast .wbl-window canvas"),
    Shot("live-patches", "live?run={patches}&tab=attention", "Live: what a vision transformer looks at",
         "#wbl-attention canvas"),
    Shot("live-masks", "live?run={marked}&tab=masks", "Live: masks over images", "#wbl-masks canvas"),
    Shot("live-codes", "live?run={codes}&tab=latent", "Live: the map of a variational autoencoder's codes",
         "#wbl-latent canvas"),
    Shot("live-losses", "live?run={made}&tab=curves", "Live: both losses of a GAN",
         ".wbl section[data-panel=discriminator] canvas"),
    Shot("live-samples", "live?run={made}&tab=made", "Live: what a GAN makes of the same noise",
         "#wbl-made .wbl-gallery canvas"),
    Shot("predict-row", "predict?run={rows}", "Predict: a row by form", ".wb-probabilities"),
    Shot("predict-forecast", "predict?run={ahead}", "Predict: the time after the end of a series",
         ".st-key-box-answer .stPlotlyChart"),
    Shot("predict-mask", "predict?run={marked}", "Predict: a mask", ".stDownloadButton"),
    Shot("variants", "variants?run={original}", "Variants: size, accuracy and speed beside the original",
         ".stDataFrame"),
    Shot("variants-make", "variants?run={original}", "Variants: making a smaller one", ".st-key-box-prune",
         scroll(".st-key-box-student")),
)  # fmt: skip
ALL = (*FIRST_VISIT, *NOTHING_YET, *HALTED, *AT_WORK, *CROWDED, *TEXTS, *KINDS)


def listing() -> str:
    """docs/screenshots.md: every state once in light, with links to its other looks."""
    lines = [
        "# Screenshots",
        "",
        "Every page in the states it can be in. `make screenshots` makes them all anew from the running",
        "product; nothing else writes this page or the pictures.",
    ]
    words = {"-dark": "dark", "-800": "800 px", "-800-dark": "800 px, dark"}
    for shot in ALL:
        others = " · ".join(f"[{word}](screenshots/{shot.name}{mark}.webp)" for mark, word in words.items())
        lines += ["", f"## {shot.about}", "", f"![{shot.about}](screenshots/{shot.name}.webp)", "", others]
    return "\n".join(lines) + "\n"
