"""How a browser reads a page."""

from html.parser import HTMLParser

ADDRESSES = ("src", "href", "xlink:href", "action", "data", "srcset", "poster")


class Read(HTMLParser):
    """What a browser makes of a page: its tags, their attributes, and the text of each tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._within = tag
        self.texts.setdefault(tag, []).append("")

    def handle_data(self, data):
        self.texts.setdefault(self._within, [""])[-1] += data

    def handle_endtag(self, tag):
        self._within = "body"

    def values(self, *keys: str) -> list[str]:
        """Of all attributes of these names."""
        return [value or "" for key, value in self.attributes if key in keys]
