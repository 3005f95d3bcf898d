"""A browser's tab: the page it is on, with what the page asked for and complained about."""

PHONE = 390  # pixels wide

# The theme follows the system's colours, and what is blended from one to the other is there.
SETTLED = """scheme => document.documentElement.dataset.theme === scheme
  && document.getAnimations().every(a => a.playState !== "running")"""


class Tab:
    """One tab for page after page: a tab for each would start a process and read all scripts."""

    def __init__(self, browser):
        self.context = browser.new_context()
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self.heard)
        self.page.on("response", self.answered)

    def visit(self, url, width=1280, scheme="light"):
        """Opens a page, and waits for its formulas; one that is open stays as it is."""
        if self.page.url != url:
            self.requests.clear()
            self.complaints.clear()
            self.look(width, scheme)
            self.page.goto(url, wait_until="load")
            self.page.evaluate("() => window.MathJax?.startup?.promise")
            self.page.wait_for_load_state("networkidle")
        return self

    def look(self, width, scheme):
        """Makes the window so wide, and the system's colours light or dark."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.emulate_media(color_scheme=scheme)

    def seen(self, width=1280, scheme="light"):
        """The page in such a window, once it has followed."""
        self.look(width, scheme)
        self.page.wait_for_function(SETTLED, arg=scheme)
        return self.page

    def heard(self, message):
        """Keeps the console's errors."""
        if message.type == "error":
            self.complaints.append(message.text)

    def answered(self, response):
        """Keeps what was not there."""
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")
