"""A browser without a window, logged in, that takes pictures of pages in both colour schemes."""

from pathlib import Path

from django.conf import settings
from selenium import webdriver

SCHEMES = {"light": "", "dark": "-dark"}
HIGHEST = 2600  # pixels


class Camera:
    def __init__(self, site: str, session: str, folder: Path, chromium: str, driver: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(argument)
        self._browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        self._site, self._folder = site, folder
        self._browser.get(f"{site}/{settings.STATIC_URL.strip('/')}/conveyor_django/admin.css")  # cookies need a page
        self._browser.add_cookie({"name": settings.SESSION_COOKIE_NAME, "value": session, "path": "/"})

    def close(self) -> None:
        self._browser.quit()

    def shoot(self, name: str, path: str, *, width: int = 1440, height: int | None = None) -> None:
        for scheme, ending in SCHEMES.items():
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            self._browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            self._screen(width, height or 900)
            self._browser.get(self._site + path)
            whole = self._browser.execute_script("return document.documentElement.scrollHeight")
            self._screen(width, height or min(whole, HIGHEST))
            self._browser.save_screenshot(str(self._folder / f"{name}{ending}.png"))

    def _screen(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
