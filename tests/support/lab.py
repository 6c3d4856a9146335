"""Open notebooks in JupyterLab with a real browser and choose "Run All Cells", as a user does.

Runs in the environment of the site, which has playwright. Prints a JSON object: for each notebook
the pop-ups that were seen. The notebooks themselves are saved, for the test to look at.

    python lab.py ADDRESS SCREENSHOTS SCHEME NOTEBOOK...
"""

import json
import sys
import time
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

LONGEST = 900  # seconds for a notebook


def states(address: str) -> list[str]:
    with urlopen(f"{address}/api/kernels") as answer:
        return [kernel["execution_state"] for kernel in json.load(answer)]


def wait_until_idle(address: str) -> None:
    """Until the kernel has had nothing to do for a while."""
    idle, end = 0, time.monotonic() + LONGEST
    while idle < 6:
        if time.monotonic() > end:
            raise TimeoutError("the notebook did not come to its end")
        time.sleep(0.5)
        now = states(address)
        idle = idle + 1 if now and set(now) == {"idle"} else 0


def pop_ups(page: Page) -> list[str]:
    return page.locator(".jp-Dialog-content, .Toastify__toast").all_inner_texts()


def run_all(page: Page, address: str, name: str, picture: Path) -> list[str]:
    page.goto(f"{address}/lab/tree/notebooks/{name}?reset")  # without the tabs of before
    page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=120_000)
    wait_until_idle(address)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    wait_until_idle(address)
    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    found = pop_ups(page)
    page.screenshot(path=str(picture))
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.wait_for_timeout(500)
    return found


def main(address: str, screenshots: str, scheme: str, *names: str) -> None:
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_context(
            color_scheme=scheme, viewport={"width": 1280, "height": 1000}
        ).new_page()
        for name in names:
            picture = Path(screenshots) / f"{Path(name).stem}.png"
            found[name] = run_all(page, address, name, picture)
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
