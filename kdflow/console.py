"""Where everything is said: one console, on which text from outside is inert."""

from rich.console import Console

from kdflow.text import plain

# In a notebook it writes text as anywhere else: rich would make a block of HTML of each line.
console = Console(soft_wrap=True, highlight=False, force_jupyter=False)


def say(text: str) -> None:
    """Prints one line; markup and control characters in it do nothing."""
    console.print(plain(text), markup=False)
