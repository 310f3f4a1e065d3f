"""The command line as a client of a running master: by its Unix socket, or by --url and a token file."""

import functools
import http.client
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import quote, urlencode

import typer

from licence_master.cli import ways
from licence_master.cli.options import ConfigOption, InstallationOption
from licence_master.config import DEFAULT_PATH
from runtime.cli import Exit, JsonFlag, fail, print_json

UrlOption = Annotated[
    str | None, typer.Option("--url", help="Ask a master elsewhere, for example https://master:8444.")
]
TokenFileOption = Annotated[Path | None, typer.Option("--token-file", help="File with the token for --url.")]
PinOption = Annotated[
    str | None, typer.Option("--pin", help="Public key of the master at --url, as invite prints it.")
]


WITHIN_S = 30.0
PATIENCE_S = 600.0  # a large store takes its time before the first byte
CHUNK = 65_536
IN_PATHS = "/%:@!$&'()*+,;=~"  # what stands there for itself
OTHER_DOOR = "Is this the port of the agents? --url wants that of admin.listen (master.yaml)."
BROKEN = (OSError, http.client.HTTPException)

Query = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Master:
    """The way to a master: `open` makes a connection, `base` comes before each path."""

    open: Callable[[], http.client.HTTPConnection]
    base: str = ""
    token: str = ""

    @contextmanager
    def exchange(
        self, method: str, path: str, query: Query, body: object = None, within_s: float = WITHIN_S
    ) -> Iterator["Coming"]:
        """One request, and its answer as it comes; a refusal or no answer ends the command."""
        given = urlencode({name: value for name, value in query.items() if value is not None})
        url = quote(self.base + path, safe=IN_PATHS) + (f"?{given}" if given else "")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        connection = self.open()
        try:
            try:
                connection.connect()
                connection.sock.settimeout(within_s)
                connection.request(method, url, content, headers)
                coming = Coming(connection.getresponse())
            except BROKEN as error:
                fail(Exit.UNREACHABLE, ways.unreached(error))
            if not 200 <= coming.response.status < 300:
                refuse(coming.response.status, coming.whole(), f"{method} {self.base}{path}")
            yield coming
        finally:
            connection.close()

    def ask(
        self, method: str, path: str, query: Query, body: object = None, within_s: float = WITHIN_S
    ) -> object:
        """One request and its answer as JSON; errors as `exchange`."""
        with self.exchange(method, path, query, body, within_s) as coming:
            answer: object = json.loads(coming.whole())
            return answer


@dataclass(frozen=True, slots=True)
class Coming:
    """An answer on its way; a connection that breaks ends the command."""

    response: http.client.HTTPResponse

    def header(self, name: str) -> str:
        """The value of a header that a master sends."""
        value = self.response.getheader(name)
        assert value is not None, f"the API answers with {name}"
        return value

    @property
    def size(self) -> int:
        """The bytes of a file."""
        return int(self.header("Content-Length"))

    @property
    def name(self) -> str:
        """What the master calls a file; never a path."""
        _, _, name = self.header("Content-Disposition").partition('filename="')
        return Path(name.rstrip('"')).name

    def whole(self) -> bytes:
        """All of it."""
        return b"".join(chunk for _, chunk in self.chunks())

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """How much has come, and the next bytes."""
        done = 0
        try:
            while chunk := self.response.read(CHUNK):
                done += len(chunk)
                yield done, chunk
        except BROKEN as error:
            fail(Exit.UNREACHABLE, f"the master broke off: {str(error) or type(error).__name__}")
        if self.response.length:
            fail(Exit.UNREACHABLE, f"the master broke off: {self.response.length} bytes are missing")


@dataclass(frozen=True, slots=True)
class Api:
    """The admin API of one master, seen from one installation."""

    master: Master
    installation: str
    as_json: bool

    def get(self, path: str, **query: str | int | None) -> object:
        """What the installation answers to this question."""
        return self.master.ask("GET", self._below(path), query)

    def own(self) -> object:
        """What is told of the installation itself."""
        found = self.master.ask("GET", "/api/v1/installations", {})
        assert isinstance(found, list), "the API answers a list"
        return next(each for each in found if each["name"] == self.installation)

    def text(self, path: str, **query: str) -> str:
        """What the installation answers as a file of text."""
        with self.stream("GET", path, **query) as coming:
            return coming.whole().decode()

    def post(self, path: str, body: Mapping[str, object], within_s: float = WITHIN_S) -> object:
        """What the installation answers to this order, which may take its time (PATIENCE_S)."""
        return self.master.ask("POST", self._below(path), {}, body, within_s)

    def delete(self, path: str) -> object:
        """What the installation answers."""
        return self.master.ask("DELETE", self._below(path), {})

    @contextmanager
    def stream(self, method: str, path: str, **query: str | int | None) -> Iterator[Coming]:
        """An answer that is read as it comes."""
        with self.master.exchange(method, self._below(path), query, within_s=PATIENCE_S) as coming:
            yield coming

    def show(self, answer: object) -> bool:
        """With --json: print the answer; True when that is all there is to print."""
        if self.as_json:
            print_json(answer)
        return self.as_json

    def _below(self, path: str) -> str:
        return f"/api/v1/installations/{self.installation}{path}"


def refuse(status: int, body: bytes, asked: str) -> NoReturn:
    """Say what the problem document says of what was asked, and leave."""
    try:
        problem = json.loads(body)
    except ValueError:
        fail(Exit.REFUSED, f"HTTP {status}: {body[:200].decode(errors='replace')}")
    if problem.get("detail") == asked:
        problem["hint"] = OTHER_DOOR
    title = problem.get("title")
    lines = [f"{title} ({problem.get('code')})"]
    lines += [line for line in problem.get("errors") or [problem.get("detail")] if line not in ("", title)]
    lines += [f"What helps: {problem['hint']}"] if problem.get("hint") else []
    fail(Exit.BAD_DATA if problem.get("bad_data") else Exit.REFUSED, "\n".join(lines))


def remote(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command of the admin API the options that say which master and which installation."""

    @functools.wraps(command)
    def run(
        *,
        config: Path,
        installation: str | None,
        url: str | None,
        token_file: Path | None,
        pin: str | None,
        as_json: bool,
        **own: object,
    ) -> None:
        master = connect(config, url, token_file, pin)
        command(Api(master, installation or _only_installation(master), as_json), **own)

    return _with_options(run, command)


def connect(config: Path, url: str | None, token_file: Path | None, pin: str | None) -> Master:
    """The master of the Unix socket in the data directory, or of the URL."""
    if url is None:
        return Master(ways.by_socket(config))
    if token_file is None:
        fail(Exit.USAGE, "--url needs --token-file FILE with a token from licence-master token")
    try:
        token = token_file.read_text().strip()
    except OSError as error:
        fail(Exit.USAGE, f"{token_file}: {error.strerror}")
    opened, base = ways.by_url(url, config, pin)
    return Master(opened, base, token)


def _only_installation(master: Master) -> str:
    answer = master.ask("GET", "/api/v1/installations", {})
    assert isinstance(answer, list), "the API answers a list"
    names = [row["name"] for row in answer]
    if len(names) != 1:
        fail(Exit.USAGE, f"--installation NAME is needed; there are {', '.join(names) or 'none'}")
    return str(names[0])


def _with_options(run: Callable[..., None], command: Callable[..., None]) -> Callable[..., None]:
    """Typer reads signatures: the command's own parameters (without the Api), then the shared ones."""
    own = list(inspect.signature(command).parameters.values())[1:]
    shared = {
        "config": (ConfigOption, DEFAULT_PATH),
        "installation": (InstallationOption, None),
        "url": (UrlOption, None),
        "token_file": (TokenFileOption, None),
        "pin": (PinOption, None),
        "as_json": (JsonFlag, False),
    }
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in shared.items()
    ]
    run.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined] # typer reads it
    run.__annotations__ = {p.name: p.annotation for p in [*own, *options]}
    return run
