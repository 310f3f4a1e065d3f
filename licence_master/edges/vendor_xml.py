"""The vendor's licence file: `<licenses><license amount type mac …/></licenses>`, read as an inventory.

Its signature is neither checked (the key is the vendor's) nor kept nor forged: what stands in it is recorded
as the administrator's statement. Other elements and attributes are passed over. A DOCTYPE is refused, so
there are no entities to expand and nothing to fetch.
"""

from xml.parsers import expat

from licence_master.edges.rows import MAX_COUNT, LicenceRow
from runtime.config import ConfigError, ConfigErrors

_ROOT, _ROW = "licenses", "license"
_MAX_DEPTH = 32


class _Reader:
    """Collects rows and errors while expat reads; one for each file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[LicenceRow] = []
        self.errors: list[ConfigError] = []
        self._depth = 0
        self._parser = expat.ParserCreate("utf-8")  # it came as text: what it declares is past
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._doctype

    def read(self, content: bytes) -> None:
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as error:
            self._wrong(error.lineno, "", f"not XML: {expat.ErrorString(error.code)}")

    def _doctype(self, *_: object) -> None:
        self._stop("a DOCTYPE; the vendor's files have none")

    def _begin(self, element: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._stop("nested too deeply")
        elif self._depth == 1 and element != _ROOT:
            self._stop(f"<{element[:40]}>, expected <{_ROOT}>")
        elif self._depth == 2 and element == _ROW:
            self._row(attributes)

    def _end(self, _element: str) -> None:
        self._depth -= 1

    def _row(self, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        type_, amount = attributes.get("type", "").strip(), attributes.get("amount", "").strip()
        if not type_:
            self._wrong(line, "type", "expected a licence type, for example PBX-Port13")
        elif not (amount.isascii() and amount.isdigit() and len(amount) < 8 and 0 < int(amount) <= MAX_COUNT):
            self._wrong(
                line, "amount", f'expected a whole number from 1 to {MAX_COUNT}, found "{amount[:40]}"'
            )
        else:
            mac = attributes.get("mac", "").strip()
            self.rows.append(LicenceRow(type=type_, count=int(amount), mac=mac or None))

    def _wrong(self, line: int, path: str, message: str) -> None:
        self.errors.append(ConfigError(self.name, line, 1, path, message))

    def _stop(self, message: str) -> None:
        self._wrong(self._parser.CurrentLineNumber, "", message)
        raise ConfigErrors(self.errors)


def read(name: str, content: bytes) -> tuple[LicenceRow, ...]:
    """The rows of the vendor's file; ConfigErrors names every line that does not fit."""
    reader = _Reader(name)
    reader.read(content)
    if not reader.rows and not reader.errors:
        reader.errors.append(ConfigError(name, 1, 1, "", f"no <{_ROW}> in it"))
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return tuple(reader.rows)
