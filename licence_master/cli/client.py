"""The command line as a client of a running master: by its Unix socket, or by --url and a token file."""

import functools
import inspect
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import httpx
import typer

from licence_master.cli.options import ConfigOption, InstallationOption
from licence_master.config import DEFAULT_PATH, MasterConfig
from licence_master.store.directory import DataDirectory
from runtime.cli import Exit, JsonFlag, fail, load_or_fail, print_json
from runtime.tls import pin_of_certificate, pinned_context

UrlOption = Annotated[
    str | None, typer.Option("--url", help="Ask a master elsewhere, for example https://master:8444.")
]
TokenFileOption = Annotated[Path | None, typer.Option("--token-file", help="File with the token for --url.")]
PinOption = Annotated[
    str | None, typer.Option("--pin", help="Public key of the master at --url, as invite prints it.")
]


PATIENCE = httpx.Timeout(30, read=600)  # a large store takes its time before the first byte


@dataclass(frozen=True, slots=True)
class Api:
    """The admin API of one master, seen from one installation."""

    http: httpx.Client
    installation: str
    as_json: bool

    def get(self, path: str, **query: str | int | None) -> object:
        """What the installation answers to this question."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, params=given)

    def own(self) -> object:
        """What is told of the installation itself."""
        found = ask(self.http, "GET", "/api/v1/installations")
        assert isinstance(found, list), "the API answers a list"
        return next(each for each in found if each["name"] == self.installation)

    def text(self, path: str, **query: str) -> str:
        """What the installation answers as a file of text."""
        url = f"/api/v1/installations/{self.installation}{path}"
        return request(self.http, "GET", url, params=query).text

    def post(self, path: str, body: Mapping[str, object], timeout: httpx.Timeout | None = None) -> object:
        """What the installation answers to this order, which may take its time (PATIENCE)."""
        return self._ask("POST", path, json=body, **({"timeout": timeout} if timeout else {}))

    def delete(self, path: str) -> object:
        """What the installation answers."""
        return self._ask("DELETE", path)

    @contextmanager
    def download(self, path: str, **query: str) -> Iterator["Download"]:
        """POST, and the file that is sent back; errors as `stream`."""
        with self.stream("POST", path, **query) as response:
            yield Download(response)

    @contextmanager
    def stream(self, method: str, path: str, **query: str | int | None) -> Iterator[httpx.Response]:
        """An answer whose body is read as it comes; a refusal or a broken connection ends the command."""
        url = f"/api/v1/installations/{self.installation}{path}"
        given = {name: value for name, value in query.items() if value is not None}
        try:
            with self.http.stream(method, url, params=given, timeout=PATIENCE) as response:
                if not response.is_success:
                    response.read()
                    refuse(response)
                yield response
        except httpx.HTTPError as error:
            fail(Exit.UNREACHABLE, f"the master broke off: {str(error) or type(error).__name__}")

    def show(self, answer: object) -> bool:
        """With --json: print the answer; True when that is all there is to print."""
        if self.as_json:
            print_json(answer)
        return self.as_json

    def _ask(self, method: str, path: str, **options: object) -> object:
        return ask(self.http, method, f"/api/v1/installations/{self.installation}{path}", **options)


@dataclass(frozen=True, slots=True)
class Download:
    """A file on its way."""

    response: httpx.Response

    @property
    def size(self) -> int:
        """Its bytes."""
        return int(self.response.headers["Content-Length"])

    @property
    def name(self) -> str:
        """What the master calls it; never a path."""
        _, _, name = self.response.headers["Content-Disposition"].partition('filename="')
        return Path(name.rstrip('"')).name

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """How much has come, and the next bytes."""
        for chunk in self.response.iter_raw():
            yield self.response.num_bytes_downloaded, chunk


def ask(http: httpx.Client, method: str, path: str, **options: object) -> object:
    """One request and its answer as JSON; errors as `request`."""
    answer: object = request(http, method, path, **options).json()
    return answer


def request(http: httpx.Client, method: str, path: str, **options: object) -> httpx.Response:
    """One request; a refusal or a master that does not answer ends the command."""
    try:
        response = http.request(method, path, **options)  # type: ignore[arg-type] # passed on as they are
    except httpx.HTTPError as error:
        fail(Exit.UNREACHABLE, f"the master does not answer: {error}; is licence-master serve running?")
    if not response.is_success:
        refuse(response)
    return response


def refuse(response: httpx.Response) -> NoReturn:
    """Say what the problem document says and leave."""
    try:
        problem = response.json()
    except json.JSONDecodeError:
        fail(Exit.REFUSED, f"HTTP {response.status_code}: {response.text[:200]}")
    lines = [f"{problem.get('title')} ({problem.get('code')})"]
    lines += [line for line in problem.get("errors") or [problem.get("detail")] if line]
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
        with connect(config, url, token_file, pin) as http:
            name = installation or _only_installation(http)
            command(Api(http, name, as_json), **own)

    return _with_options(run, command)


def connect(config: Path, url: str | None, token_file: Path | None, pin: str | None) -> httpx.Client:
    """A client of the Unix socket in the data directory, or of the URL."""
    if url is None:
        socket = DataDirectory(load_or_fail(config, MasterConfig).data).admin_socket
        if not socket.exists():
            fail(Exit.UNREACHABLE, f"{socket} is not there; is licence-master serve running?")
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket), verify=False), base_url="http://master", timeout=30
        )
    if token_file is None:
        fail(Exit.USAGE, "--url needs --token-file FILE with a token from licence-master token")
    try:
        token = token_file.read_text().strip()
    except OSError as error:
        fail(Exit.USAGE, f"{token_file}: {error.strerror}")
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, verify=_trust(config, pin), timeout=30)


def _trust(config: Path, pin: str | None) -> ssl.SSLContext:
    """The pin that was given, else this machine's master's certificate, else the system's authorities."""
    if pin is not None:
        return pinned_context([pin])
    if config.exists():
        own = certificate_of(load_or_fail(config, MasterConfig))
        if own.exists():
            return pinned_context([pin_of_certificate(own.read_bytes())])
    return ssl.create_default_context()


def certificate_of(config: MasterConfig) -> Path:
    """The certificate that clients of this master see."""
    return config.tls.certificate or DataDirectory(config.data).certificate[0]


def _only_installation(http: httpx.Client) -> str:
    answer = ask(http, "GET", "/api/v1/installations")
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
