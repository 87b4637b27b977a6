"""The OpenAPI 3.1 document, made from the table of routes and from its types."""

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.api.problems import CONTENT_TYPE, ProblemDocument
from bridge.api.routes import NoQuery, Route

_REF = "#/components/schemas/{name}"
_INTRO = """\
All that the console does with a business, for other programs. A token belongs to one \
business and sees nothing else. Times have an offset; a business's days and hours are \
local. A POST with an `Idempotency-Key` is carried out once within 24 hours. An error \
is a problem document (RFC 9457) that names the field."""
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key gets the same answer, once carried out.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}


def document(routes: Sequence[Route], server: str, version: str) -> dict[str, Any]:
    """Return the document; `server` is the URL below which the routes lie."""
    types = [ProblemDocument]
    for route in routes:
        types += [one for one in (route.body, route.returns) if one is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {str(one): schema for one, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, by_type)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kolbridge", "version": version, "description": _INTRO},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "problem": {
                    "description": "The request is not carried out",
                    "content": {
                        CONTENT_TYPE: {"schema": by_type[str(ProblemDocument)]}
                    },
                }
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    name = f"{route.method.lower()}{route.path.replace('{', '').replace('}', '')}"
    operation: dict[str, Any] = {
        "operationId": name.replace("/", "_").replace("-", "_"),
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {
            str(route.status.value): _response(route, schemas),
            "default": {"$ref": "#/components/responses/problem"},
        },
    }
    if route.method == "POST":
        operation["parameters"].append(_KEY)
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[str(route.body)]}},
        }
    return operation


def _response(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": route.status.phrase}
    if route.returns is not None:
        schema = schemas[str(route.returns)]
        response["content"] = {"application/json": {"schema": schema}}
    return response


def _in_path(route: Route) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ]


def _in_query(route: Route) -> list[dict[str, Any]]:
    if route.query is NoQuery:
        return []
    (_,), found = msgspec.json.schema_components([route.query], ref_template=_REF)
    schema = found[route.query.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": one}
        for name, one in schema["properties"].items()
    ]
