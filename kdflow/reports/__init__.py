"""A comparison as terminal table, Markdown, CSV, JSON, figures and HTML."""
