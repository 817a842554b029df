"""Every page can be used without a mouse, by weak eyes, and in a narrow window.

The rules of WCAG 2 A and AA are axe-core's own; what remains is Streamlit's, listed with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import App
from tests.browser.eyes import ended
from tests.live import trainer
from workbench.app import MENU
from workbench.store import Store
from workbench.ui import tour

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Scheme = Literal["light", "dark"]
PAGES = [name for name, _, _ in MENU]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
# What Streamlit 1.67 itself puts there, by rule and a part of the element's HTML, and why it stays.
STREAMLITS: dict[str, tuple[str, ...]] = {}
READY = "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
# All that can be pressed and seen, shadow roots included: its name, and whether the keyboard gets there.
PRESSABLE = """() => {
    const all = (root) => [...root.querySelectorAll("*")].flatMap(
        (e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
    return all(document).filter((e) => e.matches("button, a[href], input, select, textarea, [role=button]"))
        .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && e.type !== "file"
            && !e.closest("[aria-hidden=true], [inert]") && e.tabIndex < 0)
        // In a row, a list of rows or a group of choices, keys take over from the one that Tab reaches.
        .filter((e) => !e.closest("[tabindex='0']:not(main)"))
        .filter((e) => !e.closest("[role=tablist], [role=radiogroup]")?.querySelector("[tabindex='0']"))
        .filter((e) => !e.closest(".list")?.querySelector(".row[tabindex='0']"))
        // Streamlit's own: the field beside them takes the focus; its arrow keys and Backspace do the same.
        .filter((e) => !e.matches(
            "[data-testid^=stNumberInputStep], button[data-rac], [data-testid=stMultiSelect] *"))
        .map((e) => e.outerHTML.slice(0, 160));
}"""
WIDTHS = """() => {
    const main = document.querySelector("[data-testid=stMain]");
    return [document.scrollingElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth];
}"""
# The focused element, through shadow roots, and whether it looks any different from its unfocused self.
FOCUS = """async () => {
    let e = document.activeElement;
    while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
    if (!e || e === document.body) return null;
    const ring = (s) => (s.outlineStyle === "none" ? "" : s.outlineWidth + s.outlineColor);
    const look = (x) => {
        const s = getComputedStyle(x);
        return [ring(s), s.boxShadow, s.borderColor, s.backgroundColor].join("|");
    };
    const chain = [];
    for (let x = e, i = 0; x && i < 4; x = x.parentElement, i++) chain.push(x);
    const chainWith = [...chain, ...(e.nextElementSibling ? [e.nextElementSibling] : []),
        ...(e.parentElement?.previousElementSibling ? [e.parentElement.previousElementSibling] : [])];
    const on = chainWith.map(look);
    const own = getComputedStyle(e);
    const outlined = own.outlineStyle !== "none" && parseFloat(own.outlineWidth) > 0;
    const marked = outlined || own.boxShadow !== "none";
    if (marked) return { seen: true };
    e.blur();
    await new Promise((done) => setTimeout(done, 80)); // Streamlit draws its fields' focus by React
    const off = chainWith.map(look);
    e.focus();
    return { html: e.outerHTML.slice(0, 140), seen: on.join() !== off.join() };
}"""


@pytest.fixture(scope="module")
def addresses(app: App) -> Iterator[dict[str, str]]:
    """Each page with something on it, the tour in its first state on home alone."""
    from workbench.store import open_store

    store = open_store(app.home)
    runs = [ended(store, trainer.new_run(store, f"a run, seed {i}"), 400) for i in range(2)]
    queries = {"live": f"?run={runs[0]}", "compare": f"?runs={','.join(runs)}"}
    yield {name: f"{app.url}/{'' if name == 'home' else name}{queries.get(name, '')}" for name in PAGES}
    store.close()


def visit(page: Page, address: str, width: int = 1400, scheme: Scheme = "light") -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    page.locator("h1, .wbl[data-kind=status][data-state]").first.wait_for(timeout=60_000)
    stand_still(page)


def stand_still(page: Page) -> None:
    """Wait until the script has ended and nothing moves any more."""
    page.wait_for_timeout(400)
    page.locator(READY).wait_for(timeout=60_000)
    page.wait_for_timeout(900)


def breaches(page: Page) -> list[tuple[str, str, str]]:
    """What breaks a rule of access: the rule, the element, what to mend."""
    found: list[dict[str, Any]] = Axe().run(page, options=RULES).response["violations"]
    return [
        (rule["id"], node["html"][:200], node["failureSummary"].splitlines()[-1].strip()[:200])
        for rule in found
        for node in rule["nodes"]
        if not any(part in node["html"] for part in STREAMLITS.get(rule["id"], ()))
    ]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_scrolls_sideways_at_800_pixels_and_the_rules_of_access_hold_in_the_dark(
    page: Page, addresses: dict[str, str], name: str
) -> None:
    visit(page, addresses[name], 800, "dark")
    assert max(page.evaluate(WIDTHS)) <= 0
    page.set_viewport_size({"width": 1400, "height": 900})
    stand_still(page)
    ours = breaches(page)
    assert not ours, "\n".join(map(str, ours))


@pytest.mark.parametrize("name", PAGES)
def test_the_rules_of_access_hold_and_the_keyboard_is_seen_at_all_that_can_be_pressed(
    page: Page, addresses: dict[str, str], name: str
) -> None:
    visit(page, addresses[name])
    ours = breaches(page)
    assert not ours, "\n".join(map(str, ours))
    unreachable = page.evaluate(PRESSABLE)
    assert not unreachable, "\n".join(unreachable)
    page.add_style_tag(content="* { transition: none !important; animation: none !important; }")
    unseen, met = [], 0
    for _ in range(45):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        if at is None:
            continue
        met += 1
        if not at["seen"]:
            unseen.append(at["html"])
    assert not unseen, "\n".join(unseen)
    assert met >= 12


def test_the_tour_is_over_for_who_ended_it(page: Page, app: App, store: Store) -> None:
    """The ring of the tour must not stay behind as a false focus."""
    store.drafts.put(tour.KEPT, tour.OVER)
    visit(page, f"{app.url}/data")
    assert page.locator(".st-key-add button").evaluate("e => getComputedStyle(e).outlineStyle") == "none"
