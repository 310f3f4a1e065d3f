"""What /openapi.json says of refusals: every one is a problem document, of one form."""

from collections.abc import Collection

from fastapi import FastAPI
from pydantic import BaseModel

from licence_master.edges import problems

PROBLEM: dict[str, object] = {
    "description": "A problem document (RFC 9457)",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class Problem(BaseModel):
    """Why not, and what helps; `code` is one of the table of refusal codes, `errors` all that is wrong."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""
    errors: list[str] = []
    bad_data: bool = False


def describe(app: FastAPI, open_paths: Collection[tuple[str, str]]) -> None:
    """Add to the description of this application the form of a problem document, and what needs no key."""
    without = app.openapi

    def described() -> dict[str, object]:
        document = without()
        for method, path in open_paths:
            document["paths"][path][method.lower()]["security"] = []
        document["components"]["schemas"].setdefault("Problem", Problem.model_json_schema())
        return document

    app.openapi = described  # type: ignore[method-assign] # FastAPI's own way to extend it
