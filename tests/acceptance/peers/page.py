"""What docs/call-records.md tells an administrator to write, as tests give it to the real programs."""

from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "call-records.md"


def shown(begin: str) -> str:
    """The block of the page that begins so; ValueError when there is none."""
    page = PAGE.read_text()
    return page[page.index(f"```\n{begin}") + 4 :].partition("\n```")[0] + "\n"
