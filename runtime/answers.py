"""Answers of httpx that are over when nobody needs them any more."""

import httpx


def detached(response: httpx.Response) -> httpx.Response:
    """The answer, which was read whole, without its stream.

    httpx lets an answer and its stream hold each other, and with them the request and its body: garbage for
    the collector, which looks for it once in 100,000 objects (`runtime.daemon.spare_the_collector`).
    """
    response.stream = httpx.ByteStream(b"")
    return response
