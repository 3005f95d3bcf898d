"""One visit of a browser to a page, with what the page asked for and complained about."""


class Visit:
    """A page opened once, with what it asked for and what it complained about."""

    def __init__(self, browser, url, width=1280, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self.heard)
        self.page.on("response", self.answered)
        self.page.goto(url, wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        self.page.wait_for_load_state("networkidle")

    def heard(self, message):
        """Keeps the console's errors."""
        if message.type == "error":
            self.complaints.append(message.text)

    def answered(self, response):
        """Keeps what was not there."""
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.url}")
