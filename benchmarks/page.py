"""The page of `glpn serve` in a headless Chromium: accessibility, bytes, requests and times.

    python benchmarks/page.py -o page.json [--runs 5] [--no-accessibility]

Needs the `dev` extra and Debian's `chromium`. axe-core runs on five views of the page, in light
and dark, on a desktop and a phone. Times are medians of fresh browser profiles on this machine.
The service runs beside the browser, so the network costs nothing; `slow_first_paint_ms` throttles
it to 1.6 Mbit/s with a round trip of 150 ms.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 760}, "has_touch": True, "is_mobile": True}
PATIENCE = 240_000  # milliseconds; busy machines draw slowly
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 2e5, "uploadThroughput": 9.4e4}
AXE = """axe.run().then(({violations, incomplete, passes}) => ({
    passes: passes.length,
    violations: violations.map(({id, nodes}) => [id, ...nodes.map(({html}) => html)]),
    incomplete: incomplete.map(({id, nodes}) => [id, nodes.length]),
}))"""
PAINT = """() => performance.getEntriesByName('first-contentful-paint')[0].startTime"""


@contextmanager
def serving() -> Iterator[str]:
    """The address of a service with the default model."""
    command = [sys.executable, "-m", "glpn", "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def opened(browser: Browser, **options: Any) -> Page:
    """A page with a fresh profile."""
    context = browser.new_context(**{**DESKTOP, **options})
    context.set_default_timeout(PATIENCE)
    return context.new_page()


def views(page: Page, url: str) -> Iterator[str]:
    """Walk through the page, and stop at each view."""
    page.goto(url)
    page.get_by_text("up to 16.0 MiB").wait_for()
    yield "start"
    measure_example(page)
    page.locator("#frame").focus()
    for key in ("Enter", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    page.locator("#tape-metres").fill("0.5")
    page.locator("#tape-use").press("Enter")
    page.locator("#tapes li").wait_for()
    settled(page)
    page.locator("#keep").press("Enter")
    yield "picture"
    page.locator("#frame").press("Enter")
    page.locator("#tape-metres").fill("-1")
    page.locator("#tape-use").press("Enter")
    page.locator("#alert").wait_for()
    page.locator("input[value=scene]").check(force=True)
    page.wait_for_load_state("networkidle")
    yield "3-D, with an error"
    page.goto(f"{url}/static/guide.html")
    yield "guide"
    page.goto(f"{url}/docs")
    yield "HTTP interface"


def settled(page: Page) -> None:
    page.locator('main[aria-busy="false"]').wait_for()


def measure_example(page: Page) -> None:
    page.get_by_role("button", name="A rendered room").click()
    page.locator("#result").wait_for()
    settled(page)


def accessibility(browser: Browser, url: str) -> dict[str, Any]:
    """axe-core's findings by view, and everything that the console said."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    found: dict[str, Any] = {}
    console: list[str] = []
    devices: dict[str, dict[str, Any]] = {"desktop": DESKTOP, "phone": PHONE}
    for scheme, device in product(("light", "dark"), devices):
        page = opened(browser, color_scheme=scheme, **devices[device])
        page.on("console", lambda message: console.append(message.text))
        page.on("pageerror", lambda error: console.append(str(error)))
        for view in views(page, url):
            page.evaluate(axe)
            found[f"{view}, {device}, {scheme}"] = page.evaluate(AXE)
        page.context.close()
    return {"axe": axe.split("\n", 1)[0].strip("/*! "), "views": found, "console": console}


def weight(browser: Browser, url: str) -> dict[str, list[int]]:
    """[requests, bytes on the wire] to the start, then of a photo, then of the 3-D view."""
    page = opened(browser)
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    result = {}

    def note(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(300)
        result[name] = [len(sizes), round(sum(sizes))]
        sizes.clear()

    page.goto(url)
    page.get_by_text("up to 16.0 MiB").wait_for()
    note("start")
    measure_example(page)
    note("photo")
    page.locator("input[value=scene]").check(force=True)
    note("scene")
    page.context.close()
    return result


def times(browser: Browser, url: str, *, slow: bool) -> dict[str, float]:
    """Milliseconds to the first paint, and from a photo to its depth on the screen."""
    page = opened(browser)
    if slow:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW)
    page.goto(url)
    page.get_by_text("up to 16.0 MiB").wait_for()
    result = {"first_paint_ms": page.evaluate(PAINT)}
    if not slow:
        result["photo_to_depth_ms"] = page.evaluate(
            """() => new Promise((done) => {
                const began = performance.now();
                const main = document.getElementById('main');
                document.querySelector('[data-example]').click();
                new MutationObserver(() => main.ariaBusy === 'false' && requestAnimationFrame(
                    () => setTimeout(() => done(performance.now() - began)),
                )).observe(main, {attributeFilter: ['aria-busy']});
            })"""
        )
    page.context.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-accessibility", action="store_true")
    arguments = parser.parse_args()
    with serving() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        report: dict[str, Any] = {"chromium": browser.version, "weight": weight(browser, url)}
        runs = [times(browser, url, slow=False) for _ in range(arguments.runs)]
        report |= {key: round(statistics.median(run[key] for run in runs)) for key in runs[0]}
        slow = [times(browser, url, slow=True)["first_paint_ms"] for _ in range(arguments.runs)]
        report["slow_first_paint_ms"] = round(statistics.median(slow))
        if not arguments.no_accessibility:
            report["accessibility"] = accessibility(browser, url)
        browser.close()
    arguments.output.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
