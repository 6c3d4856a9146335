"""Debian's Chromium, driven through its DevTools protocol: mouse, touch, keys, files.

Playwright would bring a Node.js of its own, 45 MB, to every machine that only trains a model.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import websocket
from support.runs import PROJECT

DESKTOP, PHONE = (1200, 900), (390, 844)  # pixels


def require_chromium() -> str:
    """Path of the browser; without it, the test is skipped."""
    found = shutil.which("chromium")
    if not found:
        pytest.skip("Debian's package chromium is not installed")
    return found


class Page:
    """A page of a headless browser that has no network."""

    def __init__(self, address: str):
        self.messages: list[str] = []  # of the console, and exceptions
        self._socket = websocket.create_connection(address, timeout=120, suppress_origin=True)
        self._number = 0
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self._call(f"{domain}.enable")
        self._call(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
        )  # fmt: skip

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        answer = json.loads(self._socket.recv())
        if answer.get("method") in (
            "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded",
        ):  # fmt: skip
            self.messages.append(json.dumps(answer["params"]))
        return answer

    def open(self, file: Path, size: tuple[int, int] = DESKTOP, touch: bool = False) -> None:
        """Open a file, as a double click does, on a screen of `size` pixels."""
        width, height = size
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if touch else 1, mobile=touch,
        )  # fmt: skip
        self._call("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=5)
        self._call("Page.navigate", url=file.resolve().as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        found = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        """What stands in an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def draw(self, selector: str, strokes: list[list[tuple[float, float]]], touch: bool) -> None:
        """Draw strokes, points from 0 to 1, into an element with the mouse or a finger."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{place}.scrollIntoView({{block: 'center'}})")
        box = self.run(f"{place}.getBoundingClientRect().toJSON()")
        for stroke in strokes:
            points = [
                {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
                for x, y in stroke
            ]
            (self._finger if touch else self._mouse)(points)

    def _mouse(self, points: list[dict[str, float]]) -> None:
        def send(kind: str, point: dict[str, float]) -> None:
            self._call(
                "Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1,
                **point,
            )  # fmt: skip

        send("mousePressed", points[0])
        for point in points[1:]:
            send("mouseMoved", point)
        send("mouseReleased", points[-1])

    def _finger(self, points: list[dict[str, float]]) -> None:
        self._call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[points[0]])
        for point in points[1:]:
            self._call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, by the names that JavaScript has for them."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            code = {"Tab": 9, " ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                    "ArrowDown": 40, "Delete": 46}.get(key, 0)  # fmt: skip
            for kind in ("keyDown", "keyUp"):
                self._call(
                    "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                    **(text if kind == "keyDown" else {}),
                )  # fmt: skip

    def faults_of_access(self, scheme: str) -> list[str]:
        """What axe finds that bars some people from the page, in colours "light" or "dark"."""
        axe = next(
            PROJECT.glob(".venv/site/lib/*/site-packages/axe_playwright_python/axe.min.js"), None
        )
        if axe is None:
            pytest.skip("`make site` was not run here: it brings axe")
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self._call("Emulation.setEmulatedMedia", features=media)
        self._call("Runtime.evaluate", expression=axe.read_text(encoding="utf-8"))
        return self.run(
            "axe.run().then((found) => found.violations.flatMap((one) => one.nodes.map("
            "(node) => `${one.impact} ${one.id}: ${node.html.slice(0, 200)}`)))"
        )

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file in a file input."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def close(self) -> None:
        """Leave the page."""
        self._socket.close()


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """An empty page of a new browser, whose profile is written to a folder."""
    command = [
        require_chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        port = next(
            line.split("127.0.0.1:")[1].split("/")[0]
            for line in process.stderr
            if "DevTools listening" in line
        )
        page = Page(_address(port))
        yield page
        page.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its children too: the group is its own
        process.wait()


def _address(port: str) -> str:
    """Of the one page, asked of the browser itself."""
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
        pages = [one for one in json.load(answer) if one["type"] == "page"]
    return pages[0]["webSocketDebuggerUrl"]
