"""The page of `vaecodec compare` in a real browser: what its controls do to the pixels on screen.

Needs selenium, Chromium and its driver (Debian: chromium, chromium-driver). Screenshots are kept in
the folder that the environment variable VAECODEC_SCREENSHOTS names.
"""

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaecodec.evaluation.comparison import Shown
from vaecodec.evaluation.comparison_page import Original, render

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.common.actions.action_builder import ActionBuilder  # noqa: E402
from selenium.webdriver.common.actions.pointer_input import PointerInput  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium and chromedriver are not installed"
)

WIDTH, HEIGHT = 240, 160
GREY, RED, BLUE = (128, 128, 128), (200, 120, 120), (120, 120, 200)
DESKTOP, PHONE = (1000, 700), (390, 844)


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.uint8(colour), (HEIGHT, WIDTH, 3)).copy()


def figures(psnr: float, ms_ssim: float) -> dict[str, float | None]:
    return {"ssimulacra2": 70.0, "ms-ssim": ms_ssim, "psnr": psnr}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey original, a red picture of vaecodec's and a blue one, in both of which every second
    column of the left half is black."""
    own, peer = flat(RED), flat(BLUE)
    own[:, : WIDTH // 2 : 2] = peer[:, : WIDTH // 2 : 2] = 0
    shown = [
        Shown("vaecodec", "vaecodec", 60, 1234, own, figures(30.0, 0.9)),
        Shown("<AVIF>", "AVIF", 50, 1240, peer, figures(29.0, 0.95)),
    ]
    path = tmp_path_factory.mktemp("page") / "a & b.html"
    original = Original("a & <b>.png", flat(GREY), "", None, 54321, WIDTH * HEIGHT)
    path.write_text(render(original, shown), "utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("headless=new", "no-sandbox", "disable-gpu", "force-color-profile=srgb"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Browser:
    """The page, opened; positions are fractions of the stage's width and height."""

    def __init__(self, driver: webdriver.Chrome, page: Path, shots: Path):
        self.driver, self._page, self._shots = driver, page, shots

    def open(
        self, size: tuple[int, int] = DESKTOP, touch: bool = False, dark: bool = False
    ) -> "Browser":
        screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": touch}
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.driver.get(self._page.as_uri())
        ready = "return 'ready' in document.documentElement.dataset"
        WebDriverWait(self.driver, 20).until(lambda driver: driver.execute_script(ready))
        return self

    def find(self, selector: str):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, text: str) -> None:
        self.driver.find_element(
            By.XPATH, f"//label[contains(., '{text}')] | //button[.='{text}']"
        ).click()

    def keys(self, *keys: str, on: str = "#stage") -> None:
        self.driver.execute_script("arguments[0].focus()", self.find(on))
        ActionChains(self.driver).send_keys(*keys).perform()

    def place(self, x: float, y: float) -> tuple[int, int]:
        box = self.find("#stage").rect
        return round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])

    def screen(self, name: str) -> Callable[[float, float], tuple[int, ...]]:
        """Takes a screenshot; returns the colour at a position on it."""
        data = self.driver.get_screenshot_as_png()
        (self._shots / f"{name}.png").write_bytes(data)
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

        def colour(x: float, y: float) -> tuple[int, ...]:
            column, row = self.place(x, y)
            return tuple(pixels[row, column].tolist())

        colour.pixels = pixels
        return colour

    @property
    def percent(self) -> int:
        return int(self.find("#percent").text.split()[0])

    @property
    def width(self) -> float:
        """Of what is seen of the picture."""
        left, right = self.driver.execute_script("return visible()")
        return right - left

    @property
    def split(self) -> int:
        return int(self.find("#divider").get_attribute("aria-valuenow"))

    def touch(self, *fingers: list[tuple[float, float]]) -> None:
        """Moves several fingers at a time along their positions, from touching to lifting."""
        actions = ActionBuilder(self.driver, duration=40)
        actions.devices = []  # without the mouse that it starts with
        for number, path in enumerate(fingers):
            finger = PointerInput("touch", f"finger{number}")
            actions.devices.append(finger)
            for step, position in enumerate(path):
                x, y = self.place(*position)
                finger.create_pointer_move(duration=40 if step else 0, x=x, y=y)
                if step == 0:
                    finger.create_pointer_down(button=0)
            finger.create_pointer_up(button=0)
        actions.perform()


@pytest.fixture
def browser(chromium: webdriver.Chrome, page: Path, tmp_path: Path) -> Iterator[Browser]:
    shots = Path(os.environ.get("VAECODEC_SCREENSHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    yield Browser(chromium, page, shots)
    assert chromium.get_log("browser") == []


def test_slider_starts_in_the_middle_and_follows_the_mouse(browser: Browser):
    browser.open()
    before = browser.screen("slider")
    assert before(0.62, 0.5) == BLUE
    grip = browser.find("#divider")
    assert grip.get_attribute("role") == "slider" and browser.split == 50
    ActionChains(browser.driver).drag_and_drop_by_offset(grip, 60, 0).perform()
    after = browser.screen("slider-moved")
    assert browser.split == round(50 + 100 * 60 / browser.width)
    assert after(0.5 + 30 / 1000, 0.5) == RED
    assert after(0.5 + 100 / 1000, 0.5) == BLUE


def test_slider_follows_the_keyboard(browser: Browser):
    browser.open()
    browser.keys(*[Keys.ARROW_RIGHT] * 3, on="#divider")
    assert browser.split == 53
    browser.keys(Keys.END, on="#divider")
    assert browser.split == 100 and browser.screen("slider-end")(0.5 + 100 / 1000, 0.5) == RED
    browser.keys(Keys.HOME, on="#divider")
    assert "0 % vaecodec, the rest <AVIF>" == browser.find("#divider").get_attribute(
        "aria-valuetext"
    )
    assert browser.screen("slider-home")(0.5 + 100 / 1000, 0.5) == BLUE


def test_flicker_switches_by_itself_and_by_key(browser: Browser):
    browser.open()
    browser.click("Flicker")
    place = 0.5 + 50 / 1000
    seen = set()
    WebDriverWait(browser.driver, 10, 0.2).until(
        lambda _: seen.add(browser.screen("flicker")(place, 0.5)) or seen == {RED, BLUE}
    )
    browser.click("Pause")
    first = browser.screen("flicker-paused")(place, 0.5)
    browser.keys(Keys.SPACE)
    assert {first, browser.screen("flicker-space")(place, 0.5)} == {RED, BLUE}


def test_held_key_shows_the_original(browser: Browser):
    browser.open()
    browser.keys("f")
    chain = ActionChains(browser.driver)
    chain.key_down("o").perform()
    assert browser.screen("original")(0.5, 0.5) == GREY
    chain.key_up("o").perform()
    assert browser.screen("not-original")(0.55, 0.5) in (RED, BLUE)


def test_zoom_shows_pixels(browser: Browser):
    """At 800 % each column of the picture is 8 equal columns on screen."""
    browser.open()
    fit = browser.percent
    browser.keys("+")
    assert browser.percent == pytest.approx(1.25 * fit, abs=1)
    browser.driver.execute_script("zoomTo(8)")
    assert browser.percent == 800
    screen = browser.screen("zoomed")
    row = browser.place(0.1, 0.4)[1]
    red = screen.pixels[row, :400, 0]
    assert set(red.tolist()) == {0, 200}
    edges = np.flatnonzero(np.diff(red.astype(int)))
    assert set(np.diff(edges).tolist()) == {8}
    browser.click("Fit")
    assert browser.percent == fit


def test_wheel_keeps_the_point_under_it(browser: Browser):
    browser.open()
    x, y = browser.place(0.5, 0.5)
    before = browser.driver.execute_script("return [state.u + 40 / fitScale(), state.v]")
    wheel = ActionBuilder(browser.driver)
    wheel.wheel_action.scroll(x=x + 40, y=y, delta_y=-900)
    wheel.perform()
    assert browser.percent > 800
    after = browser.driver.execute_script("return [state.u + 40 / state.scale, state.v]")
    assert after == pytest.approx(before, abs=1)


def test_double_click_zooms_in_and_out(browser: Browser):
    browser.open()
    fit = browser.percent
    x, y = browser.place(0.55, 0.4)
    for expected in (max(400, 2 * fit), fit):
        mouse = ActionBuilder(browser.driver)
        mouse.pointer_action.move_to_location(x, y).double_click()
        mouse.perform()
        assert browser.percent == pytest.approx(expected, abs=1)


def test_dragging_moves_a_zoomed_picture(browser: Browser):
    browser.open()
    browser.driver.execute_script("zoomTo(16)")
    before = browser.driver.execute_script("return state.u")
    x, y = browser.place(0.8, 0.5)
    mouse = ActionBuilder(browser.driver)
    mouse.pointer_action.move_to_location(x, y).pointer_down().move_to_location(x - 160, y)
    mouse.pointer_action.pointer_up()
    mouse.perform()
    assert browser.driver.execute_script("return state.u") == pytest.approx(before + 10)
    assert browser.split == 50
    browser.keys(Keys.ARROW_RIGHT)
    assert browser.driver.execute_script("return state.u") == pytest.approx(before + 10 + 60 / 16)


def test_touch_moves_the_slider_and_pinches(browser: Browser):
    browser.open(PHONE, touch=True)
    browser.touch([(0.5, 0.5), (0.6, 0.5), (0.8, 0.5)])
    assert browser.split == pytest.approx(80, abs=3)
    screen = browser.screen("touch-slider")
    assert screen(0.7, 0.5) == RED and screen(0.9, 0.5) == BLUE
    before = browser.percent
    browser.touch([(0.4, 0.5), (0.3, 0.5), (0.1, 0.5)], [(0.6, 0.5), (0.7, 0.5), (0.9, 0.5)])
    assert browser.percent > 2.5 * before
    browser.screen("touch-pinched")


def choose(browser: Browser, times: int) -> None:
    browser.driver.execute_script(
        f"document.getElementById('times').value = {times};"
        "document.getElementById('times').dispatchEvent(new Event('change'))"
    )


def test_keys_work_before_the_first_click(browser: Browser):
    browser.open()
    ActionChains(browser.driver).send_keys("b").perform()
    assert browser.find("#stage").get_attribute("class").startswith("side")
    ActionChains(browser.driver).send_keys("s").send_keys(Keys.ARROW_RIGHT).perform()
    assert browser.split == 51


def test_difference_shows_what_is_seen(browser: Browser):
    """The map of the blue picture's errors, its stripes brighter than the rest of it."""
    browser.open()
    browser.click("Difference")
    screen = browser.screen("seen")
    assert "what is seen" in browser.find(".pane.second figcaption").text
    assert screen(0.55, 0.5) not in (RED, BLUE, GREY)
    assert browser.find("#legend").is_displayed()
    browser.keys("d")
    assert browser.screen("not-seen")(0.62, 0.5) == BLUE
    assert not browser.find("#legend").is_displayed()


def test_difference_is_multiplied_as_said(browser: Browser):
    browser.open()
    browser.click("Difference")
    choose(browser, 8)
    browser.keys("f")
    browser.click("Pause")
    expected = {
        tuple(min(255, 8 * abs(a - b)) for a, b in zip(c, GREY, strict=True)) for c in (RED, BLUE)
    }
    assert browser.screen("difference")(0.55, 0.5) in expected
    assert "difference \u00d7 8" in browser.find(".pane:not(.off) figcaption").text
    choose(browser, 2)
    expected = {tuple(2 * abs(a - b) for a, b in zip(c, GREY, strict=True)) for c in (RED, BLUE)}
    assert browser.screen("difference-2")(0.55, 0.5) in expected


def test_side_by_side_shows_all_three_at_one_place(browser: Browser):
    browser.open()
    browser.click("Side by side")
    screen = browser.screen("side-by-side")
    assert [screen(x, 0.5) for x in (0.2, 0.54, 0.87)] == [GREY, RED, BLUE]
    browser.driver.execute_script("zoomTo(8)")
    lefts = browser.driver.execute_script("return images.map(image => image.style.left)")
    assert len(set(lefts)) == 1


@pytest.mark.parametrize("size, touch", [(DESKTOP, False), (PHONE, True)])
def test_dark_and_light_wide_and_narrow(browser: Browser, size: tuple[int, int], touch: bool):
    brightness = {}
    for dark in (False, True):
        browser.open(size, touch, dark)
        screen = browser.screen(f"{'dark' if dark else 'light'}-{size[0]}")
        brightness[dark] = int(screen.pixels[3, 3].max())
        wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= size[0]
    assert brightness[True] < 60 and brightness[False] > 200


def test_every_control_has_a_name(browser: Browser):
    browser.open()
    browser.keys("f")
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = [
        (node["role"]["value"], node["name"]["value"])
        for node in nodes
        if any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
        and node["role"]["value"] != "RootWebArea"
    ]
    assert len(controls) >= 10 and all(name for _, name in controls), controls
    assert ("button", "Zoom in") in controls and (
        "group",
        "Pictures, one over the other",
    ) in controls
    assert "a & <b>.png" in browser.driver.title


def test_page_needs_no_network(page: Path):
    text = page.read_text("utf-8")
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text
    assert text.count('src="data:image/webp;base64,') == 3 + 2
