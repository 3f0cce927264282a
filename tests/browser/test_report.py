"""The report in a browser: nothing is fetched, nothing is said to the console, everything works by keyboard too.

Needs Playwright (`pip install clo-nas[browser]`, without its own browsers) and Chromium; `nox -s browser` has both.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.architecture import BASELINE
from harness.record.study import StudyRecord
from harness.report.ablation import ablation_content
from harness.report.renderers import render_html
from harness.report.search import Beside, search_content
from harness.report.write import write_report
from tests.report import example
from tests.report.ablated import ablation, of_search
from tests.report.test_evidence import KNOWN
from tests.report.test_images import kept as kept_images
from tests.report.test_images import photographs
from tests.report.test_learning_curves import kept as kept_curves
from tests.report.test_renderers import hostile_record

pytestmark = pytest.mark.browser
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: nox -s browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no Chromium: apt install chromium", allow_module_level=True)

SIZES = [pytest.param(390, "dark", id="390-dark"), pytest.param(1440, "light", id="1440-light")]
AA = {"latency_aa_check": {"ratio": 1.0, "ratio_ci95": [0.99, 1.01]}}
DRAWN = "document.documentElement.dataset.drawn === 'yes'"


def record() -> StudyRecord:
    """The winning study, with models that differ."""
    found = example.winning()
    base = "nc: 10\nbackbone:\n  - [-1, 1, Conv, [64, 6, 2, 2]]\nhead:\n  - [[2], 1, Detect, [nc]]\n"
    block = base.replace("head:", "  - [-1, 1, CloBlock, [64, 64]]\nhead:").replace("[2]", "[3]")
    yamls = {name: base if name == BASELINE else block for name in found.model_yamls}
    return dataclasses.replace(found, model_yamls=yamls)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_html(search_content(record()).page), encoding="utf-8")
    return path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A page and what it did."""

    page: Any
    said: list[str]
    asked: list[str]


def until(page: Any, expression: str) -> None:
    """Wait until an expression holds. Playwright's own way needs `eval` in the page, which the policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {expression}")


def opened(browser: Any, file: Path, width: int = 1440, scheme: str = "light") -> Opened:
    """Open a report and wait for its figures."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    result = Opened(page=page, said=[], asked=[])
    page.on("console", lambda message: result.said.append(message.text))
    page.on("pageerror", lambda error: result.said.append(str(error)))
    page.on("dialog", lambda dialog: result.said.append(dialog.message))
    page.on("request", lambda request: result.asked.append(request.url))
    page.goto(file.as_uri())
    until(page, DRAWN)
    return result


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    found = opened(browser, file)
    yield found.page
    assert found.said == []
    found.page.context.close()


def card_names(page: Any) -> list[str]:
    names: list[str] = page.locator("#cards .card [data-part=name]").all_inner_texts()
    return names


def row(page: Any, name: str, table: str = "candidates") -> Any:
    return page.locator(f'#{table}-table tr[data-architecture="{name}"]')


def ringed(page: Any, role: str) -> list[float]:
    """Latencies of the points that have a ring."""
    found: list[float] = page.evaluate(
        "role => document.querySelector('.plot').data.find((trace) => trace.meta?.role === role).x", role
    )
    return found


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_the_page_fetches_nothing_says_nothing_and_fits(browser: Any, file: Path, width: int, scheme: str) -> None:
    found = opened(browser, file, width, scheme)
    assert [url for url in found.asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    assert found.said == []
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    assert found.page.locator(".plot .main-svg").count() >= 2
    if folder := os.environ.get("CLO_NAS_SCREENSHOTS"):
        found.page.screenshot(path=Path(folder) / f"report-{width}-{scheme}.png", full_page=True)
    found.page.context.close()


def serious_violations(page: Any) -> dict[str, str]:
    """What axe calls serious or critical: rule to the first place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: nox -s browser")
    found = axe.Axe().run(page).response["violations"]
    return {each["id"]: each["nodes"][0]["html"][:200] for each in found if each["impact"] in {"serious", "critical"}}


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_axe_finds_nothing_serious(browser: Any, file: Path, width: int, scheme: str) -> None:
    page = opened(browser, file, width, scheme).page
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    page.locator("#budget-range").fill("1.1")
    assert serious_violations(page) == {}
    page.context.close()


def test_hostile_names_do_nothing(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_html(search_content(hostile_record()).page), encoding="utf-8")
    found = opened(browser, path)
    row(found.page, "3fa9c1d2").hover()
    found.page.locator("#budget-range").fill("1.1")
    assert found.said == []
    assert found.page.locator("img").count() == 0
    assert "alert(1)" in found.page.locator("#cards .card").nth(1).inner_text()
    found.page.context.close()


def test_the_slider_names_the_best_by_keyboard(page: Any) -> None:
    slider, said = page.locator("#budget-range"), page.locator("#budget-said")
    assert "Without a limit: 77e0b1aa, +0.011 for 1.06×" in said.inner_text().replace("\u00a0", " ")
    slider.focus()
    page.keyboard.press("PageDown")
    for _ in range(100):
        if float(slider.input_value()) < 1.06:
            break
        page.keyboard.press("ArrowLeft")
    assert "latency: the baseline; no candidate within this limit beats it by" in said.inner_text()
    assert said.get_attribute("aria-live") == "polite"
    assert "times the baseline's latency" in slider.get_attribute("aria-valuetext")
    assert "dear" in row(page, "3fa9c1d2").get_attribute("class")
    page.keyboard.press("Home")
    assert "nothing that was judged costs so little" in said.inner_text()


def test_a_budget_is_drawn_and_can_be_one_of_macs(page: Any) -> None:
    def shapes(figure: int) -> int:
        count: int = page.evaluate("at => document.querySelectorAll('.plot')[at].layout.shapes.length", figure)
        return count

    page.locator("#budget-range").fill("1.10")
    until(page, "document.querySelectorAll('.plot')[0].layout.shapes.length === 4")
    assert shapes(1) == 2
    page.get_by_label("MACs", exact=True).check()
    until(page, "document.querySelectorAll('.plot')[0].layout.shapes.length === 2")
    page.locator("#budget-range").fill("1.03")
    until(page, "document.querySelectorAll('.plot')[1].layout.shapes.length === 4")
    assert "MACs: 77e0b1aa" in page.locator("#budget-said").inner_text()
    page.locator("#budget-off").click()
    until(page, "document.querySelectorAll('.plot')[1].layout.shapes.length === 2")
    assert page.locator("tr.dear").count() == 0


def test_pointing_at_a_row_points_at_its_place_in_both_tables_and_the_figures(page: Any) -> None:
    row(page, "77e0b1aa").hover()
    until(page, "document.querySelector('.plot').data.some((t) => t.meta?.role === 'pointed' && t.x.length)")
    assert ringed(page, "pointed") == [1.06]
    assert page.locator("tr.pointed").count() == 2
    page.locator("h1").hover()
    until(page, "!document.querySelector('tr.pointed')")
    row(page, "09ab33f1").locator(".choose").focus()
    until(page, "document.querySelectorAll('tr.pointed').length === 2")


def test_up_to_four_are_compared_by_keyboard(page: Any) -> None:
    assert card_names(page) == ["77e0b1aa", "3fa9c1d2", "09ab33f1", "9b8c7d6e"]
    fifth = row(page, "c41d9e02").locator(".choose")
    assert fifth.is_disabled() and "uncheck one first" in fifth.get_attribute("title")
    row(page, "9b8c7d6e").locator(".choose").press("Enter")
    assert not fifth.is_disabled()
    fifth.press("Enter")
    assert card_names(page) == ["77e0b1aa", "3fa9c1d2", "09ab33f1", "c41d9e02"]
    until(page, "document.querySelector('.plot').data.find((t) => t.meta?.role === 'chosen').x.includes(1.09)")
    page.get_by_role("button", name="Remove 77e0b1aa from the comparison").click()
    assert card_names(page) == ["3fa9c1d2", "09ab33f1", "c41d9e02"]


def test_a_made_card_says_what_the_first_one_said(browser: Any, file: Path) -> None:
    """Scripts fill the same card that is there without them."""

    def cards(*, scripts: bool) -> list[str]:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, java_script_enabled=scripts)
        page = context.new_page()
        page.goto(file.as_uri())
        texts = [each.text_content() for each in page.locator("#cards .card").all()]
        context.close()
        return ["".join(text.split()) for text in texts]

    without = cards(scripts=False)
    assert len(without) == 4
    assert "CloBlock" in without[0] and "clotraindemo77e0b1aa" in without[0]
    made = cards(scripts=True)
    assert made[:3] == without[:3]


def test_a_click_on_a_point_compares_it(page: Any) -> None:
    page.locator(".plot").first.scroll_into_view_if_needed()
    place = page.evaluate(
        """() => { const plot = document.querySelector('.plot'), { xaxis, yaxis } = plot._fullLayout;
                   const box = plot.getBoundingClientRect();
                   return [box.left + xaxis._offset + xaxis.l2p(1.21), box.top + yaxis._offset + yaxis.l2p(0.014)]; }"""
    )
    page.mouse.move(*place)
    until(page, "document.querySelectorAll('tr.pointed').length === 2")
    assert "3fa9c1d2" in card_names(page)
    page.mouse.click(*place)
    assert "3fa9c1d2" not in card_names(page)


def test_the_table_is_filtered_and_sorted(page: Any) -> None:
    filter_ = page.locator(".filter")
    shown = page.locator("#candidates-table tbody tr:visible")
    assert shown.count() == 13
    filter_.get_by_label("Find").fill("attention NECK.P3")
    assert 0 < shown.count() < 13
    assert filter_.locator("output").inner_text() == f"{shown.count()} of 13 rows"
    filter_.get_by_label("Find").fill("")
    filter_.get_by_label("Verdict").select_option("gain")
    assert shown.count() == 2
    filter_.get_by_label("within the budget").check()
    page.locator("#budget-range").fill("1.10")
    assert shown.count() == 1
    filter_.get_by_label("Verdict").select_option("")
    filter_.get_by_label("within the budget").uncheck()
    page.locator("#candidates-table").get_by_role("button", name="Latency").click()
    rows = "[...document.querySelectorAll('#candidates-table tbody tr')]"
    ratios = page.evaluate(f"{rows}.map((row) => Number(row.cells[4].dataset.sort))")
    assert len(ratios) == 13 and ratios == sorted(ratios) and ratios[-1] == 1.42
    for _ in range(2):
        page.locator("#candidates-table").get_by_role("button", name="Latency").click()
    names = page.evaluate(f"{rows}.map((row) => row.dataset.architecture)")
    assert names[:3] == ["baseline", "3fa9c1d2", "77e0b1aa"]  # the third press brings the first order back
    filter_.get_by_label("on a front").check()
    assert shown.count() < 13
    filter_.get_by_role("button", name="clear").click()
    assert shown.count() == 13


def test_numbers_in_words_are_sorted_as_numbers(browser: Any, full: Path) -> None:
    page = opened(browser, full).page
    groups = "[...document.querySelectorAll('#where-table tbody th')].map((cell) => cell.textContent)"
    page.locator("#where-table").get_by_role("button", name="Group").click()
    found = page.evaluate(groups)
    numbers = [float(each.split()[0]) for each in found if each[0].isdigit()]
    assert len(numbers) > 1 and numbers == sorted(numbers)
    page.context.close()


def test_zooming_keeps_the_second_scale_in_step(page: Any) -> None:
    page.evaluate("() => Plotly.relayout(document.querySelector('.plot'), { 'xaxis.range': [1.0, 1.2] })")
    until(page, "document.querySelector('.plot').layout.xaxis2.range[1] === 12")


def test_the_figures_follow_the_theme(page: Any) -> None:
    ink = "document.querySelector('.plot').layout.font.color"
    light = page.evaluate(ink)
    page.emulate_media(color_scheme="dark")
    until(page, f"{ink} !== '{light}'")
    assert page.evaluate(ink) == page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
    )


def press_theme(page: Any, wanted: str) -> None:
    """Press the button by keyboard until it names the theme."""
    button = page.locator("#theme")
    for _ in range(3):
        if button.inner_text() == f"Theme: {wanted}":
            return
        button.focus()
        page.keyboard.press("Enter")
    assert button.inner_text() == f"Theme: {wanted}"


def colors(page: Any) -> list[str]:
    """Of the page, its words, and the words of its first figure."""
    found: list[str] = page.evaluate(
        """() => { const { backgroundColor, color } = getComputedStyle(document.body);
                   return [backgroundColor, color, document.querySelector('.plot').layout.font.color]; }"""
    )
    return found


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_button_sets_the_theme_of_page_and_figures_whatever_the_systems_is(
    browser: Any, file: Path, system: str
) -> None:
    found = opened(browser, file, scheme=system)
    page, other = found.page, {"light": "dark", "dark": "light"}[system]
    assert page.locator("#theme").inner_text() == "Theme: auto"
    as_system = colors(page)
    press_theme(page, other)
    until(page, f"document.querySelector('.plot').layout.font.color !== '{as_system[2]}'")
    assert all(now != before for now, before in zip(colors(page), as_system, strict=True))
    press_theme(page, system)
    until(page, f"document.querySelector('.plot').layout.font.color === '{as_system[2]}'")
    assert colors(page) == as_system
    page.emulate_media(color_scheme=other)
    assert colors(page)[:2] == as_system[:2]
    press_theme(page, "auto")
    assert colors(page)[:2] != as_system[:2]
    assert found.said == []
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_a_theme_of_the_button(browser: Any, file: Path, theme: str) -> None:
    page = opened(browser, file, scheme={"light": "dark", "dark": "light"}[theme]).page
    press_theme(page, theme)
    assert serious_violations(page) == {}
    page.context.close()


def test_the_theme_needs_no_storage(browser: Any, file: Path) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    context.add_init_script(
        "for (const name of ['localStorage', 'sessionStorage']) "
        "Object.defineProperty(window, name, { get() { throw new Error('no storage'); } });"
    )
    page, said = context.new_page(), []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    until(page, DRAWN)
    press_theme(page, "dark")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert said == []
    context.close()


def test_an_ablations_page_has_the_button_too(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_html(ablation_content(ablation()).page), encoding="utf-8")
    page = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light").new_page()
    page.goto(path.as_uri())
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    press_theme(page, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert serious_violations(page) == {}
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_rounds_placebo_and_forest_are_drawn_fit_and_please_axe(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    search = record()
    checked = dataclasses.replace(search, environment=search.environment | AA)
    path = tmp_path / "report.html"
    said = search_content(checked, Beside(rounds=KNOWN.get, ablations=[of_search("3fa9c1d2", name="parts")]))
    path.write_text(render_html(said.page), encoding="utf-8")
    found = opened(browser, path, width, scheme)
    page = found.page
    assert page.locator("#rounds-table .strip").count() == 4
    placebo = "document.querySelectorAll('.plot')[1].data.find((trace) => trace.meta?.role === 'placebo')"
    assert page.evaluate(f"{placebo}.meta.names") == ["wide-params-01234567"]
    assert page.evaluate(f"{placebo}.marker.color") == page.evaluate(
        "getComputedStyle(document.documentElement).getPropertyValue('--placebo').trim()"
    )
    row(page, "3fa9c1d2", "parts-gains").hover()
    until(page, "document.querySelector('.plot').data.some((t) => t.meta?.role === 'pointed' && t.x[0] === 1.21)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious_violations(page) == {}
    assert found.said == []
    page.context.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with images and learning curves."""
    folder = tmp_path_factory.mktemp("full")
    found = kept_images(folder, photographs(folder / "data"))
    kept_curves(folder, found, stuck=("3fa9c1d2", 1))
    write_report(found, folder)
    return folder / "report.html"


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_images_and_curves_fit_say_nothing_and_please_axe(browser: Any, full: Path, width: int, scheme: str) -> None:
    found = opened(browser, full, width, scheme)
    page = found.page
    assert page.locator(".shot svg").count() == 2 * 5  # three better, two worse, each by two detectors
    assert page.locator(".panels .main-svg").count() >= 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in found.asked if not url.startswith(("data:", "blob:"))] == [full.as_uri()]
    assert serious_violations(page) == {}
    assert found.said == []
    page.context.close()


def test_the_confidence_redraws_the_boxes_and_says_what_it_costs(browser: Any, full: Path) -> None:
    found = opened(browser, full)
    page = found.page
    said, slider = page.locator("#gallery-said"), page.locator("#gallery-range")
    first = page.locator(".shot").first
    assert "baseline: 1 correct, 1 missed, 0 false" in first.inner_text()
    assert first.locator("svg").first.get_attribute("aria-label") == "baseline: 1 correct, 1 missed, 0 false"
    slider.focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")  # from 0.35 to 0.25: the false ones at 0.3 appear
    assert page.locator("#gallery-value").inner_text() == "0.25"
    assert "baseline: 1 correct, 1 missed, 1 false" in page.locator(".shot").first.inner_text()
    assert "the baseline's precision is 65.8 %, its recall 96.3 %" in said.inner_text()  # 77 of 117, 77 of 80
    slider.fill("0.95")
    assert "its recall 0.0 %" in said.inner_text() and "precision is –" in said.inner_text()
    assert found.said == []
    page.context.close()


def test_all_objects_can_be_shown_and_a_picture_leads_to_its_file(browser: Any, full: Path) -> None:
    page = opened(browser, full).page
    assert page.locator("rect.box.object:not(.legend rect)").count() == 0
    page.locator("#gallery-truth").check()
    assert page.locator(".shot rect.box.object").count() == 2 * 2 * 5
    name = page.locator(".shot a").first.get_attribute("href")
    assert name.startswith("images/") and (full.parent / name).is_file()
    page.context.close()


def test_names_of_classes_are_text(browser: Any, full: Path) -> None:
    page = opened(browser, full).page
    assert page.locator(".shot text title").first.text_content().rsplit(" ", 1)[0] in {"cat", "dog <b>"}
    assert page.locator(".shot b").count() == 0
    page.context.close()


def test_a_row_that_is_pointed_at_is_a_line_among_the_choices(page: Any) -> None:
    row(page, "77e0b1aa").hover()
    heights = (
        """document.querySelector('[data-figure=parallel]').data.find((trace) => trace.meta?.role === 'pointed').y"""
    )
    until(page, f"{heights}.length > 1")
    drawn = page.evaluate(
        "document.querySelector('[data-figure=parallel]').data.find((trace) => trace.meta?.names?.[0] === '77e0b1aa').y"
    )
    assert page.evaluate(heights)[:-1] == drawn
    page.locator("[data-figure=parallel]").scroll_into_view_if_needed()
    place = page.locator("[data-figure=parallel] .nsewdrag").bounding_box()
    axes = page.evaluate("document.querySelector('[data-figure=parallel]')._fullLayout._size")
    top, height = place["y"], axes["h"]
    low, high = page.evaluate("document.querySelector('[data-figure=parallel]').layout.yaxis.range")
    first, last = page.evaluate("document.querySelector('[data-figure=parallel]').layout.xaxis.range")
    at = len(drawn) - 1  # its gain
    page.mouse.move(
        place["x"] + (at - first) / (last - first) * axes["w"], top + (high - drawn[at]) / (high - low) * height
    )
    until(page, "document.querySelector('#candidates-table tr.pointed')?.dataset.architecture === '77e0b1aa'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_committed_control_opens_and_its_first_screen_has_answer_and_front(browser: Any, scheme: str) -> None:
    """Its photographs are those of the READMEs: docs/images/report-light.png and -dark.png."""
    file = Path(__file__).parents[2] / "results" / "reference" / "control" / "beacon" / "report.html"
    found = opened(browser, file, 1180, scheme)
    assert found.said == []
    assert found.page.locator(".asked dt").all_inner_texts()[0] == "What does it cost?"
    figure = found.page.locator("figure").first.bounding_box()
    assert figure["y"] + figure["height"] < 2400
    if folder := os.environ.get("CLO_NAS_SCREENSHOTS"):
        area = {"x": 0, "y": 0, "width": 1180, "height": round(figure["y"] + figure["height"] + 20)}
        found.page.wait_for_timeout(500)
        found.page.screenshot(path=Path(folder) / f"control-{scheme}.png", full_page=True, clip=area)
    found.page.context.close()
