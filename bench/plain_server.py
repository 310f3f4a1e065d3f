"""The plain writer behind HTTP: `python -m bench.plain_server HOST PORT FILE`, a unit for each POST.

The same HTTP server and framework as the licence master's, without TLS and signatures: what a small licence
server looks like. Its answer leaves after both commits.
"""

import sqlite3
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bench.plain_writer import SCHEMA, lend


def application(database: sqlite3.Connection) -> Starlette:
    """One route: the holder in the body draws a unit."""

    async def leases(request: Request) -> JSONResponse:
        holder = (await request.json())["holder"]
        lend(database, holder)
        return JSONResponse({"holder": holder, "pool": "port"}, 201)

    return Starlette(routes=[Route("/leases", leases, methods=["POST"])])


def main(host: str, port: int, path: str) -> None:
    """Serve until it is ended."""
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(SCHEMA)
    uvicorn.run(
        application(database), host=host, port=port, http="httptools", loop="uvloop", access_log=False
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
