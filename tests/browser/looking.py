"""Opens a page in Chromium and says what is wrong with it."""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

DESKTOP, PHONE = 1280, 390

_IMAGES = """() => [...document.images].map(image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const colors = new Set();
    if (image.naturalWidth) {
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const pixels = new Uint32Array(context.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
        for (const pixel of pixels) colors.add(pixel);
    }
    const box = image.getBoundingClientRect();
    return {alt: image.alt, width: box.width, height: box.height, colors: colors.size};
})"""

# Contrast as in WCAG 2.2: 4.5 is what it asks for. Backgrounds are opaque here, so the nearest one counts.
_CONTRASTS = """() => {
    const channels = color => color.match(/[\\d.]+/g).map(Number);
    const luminance = color => {
        const [r, g, b] = channels(color).slice(0, 3).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = element => {
        for (let at = element; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if (channels(color)[3] !== 0) return color;
        }
        return "rgb(255, 255, 255)";
    };
    return [...document.body.querySelectorAll("*")]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .map(e => {
            const [ink, paper] = [luminance(getComputedStyle(e).color), luminance(background(e))];
            return {text: e.textContent.trim().slice(0, 40), ink, paper,
                    contrast: (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)};
        });
}"""


@dataclass
class Visit:
    """An open page, and what the browser complained about or asked for while it was open."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def images(self) -> list[dict[str, Any]]:
        """Return every picture as drawn: alt, width and height in pixels, number of colors."""
        return self.page.evaluate(_IMAGES)

    def texts_hard_to_read(self) -> list[dict[str, Any]]:
        """Return the texts that are not dark on light, or too faint."""
        texts = self.page.evaluate(_CONTRASTS)
        assert texts, "the page has no text"
        return [text for text in texts if text["contrast"] < 4.5 or text["ink"] > text["paper"]]

    def overflow(self) -> int:
        """Return how many pixels wider than the window the page is."""
        return self.page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")

    def requests_beyond(self, *starts: str) -> list[str]:
        """Return what was asked for elsewhere."""
        return [url for url in self.requests if not url.startswith(("data:", "blob:", *starts))]


def visit(browser: Browser, url: str, *, width: int = DESKTOP, height: int = 900) -> Visit:
    """Open a page as somebody does whose system prefers dark pages."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark")
    opened = Visit(page)
    page.on("console", lambda said: opened.complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("requestfailed", lambda request: opened.complaints.append(f"{request.url}: {request.failure}"))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.goto(url)
    return opened
