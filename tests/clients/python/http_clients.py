"""httpx and requests, the clients that people use without an SDK, and what OpenAI's own schemas say of our answers."""

import json
import pathlib

import httpx
import jsonschema
import requests

from checks import GATEWAY, check, run, stats, until

CHAT = f"{GATEWAY}/v1/chat/completions"
ASK = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
STREAM = {**ASK, "stream": True}
SCHEMAS = json.loads((pathlib.Path(__file__).parent.parent / "openai_schemas.json").read_text())


def validate(body, name):
    jsonschema.validate(body, {**SCHEMAS, "$ref": f"#/components/schemas/{name}"})


def assert_refused(answer, status):
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/json", answer.headers
    validate(answer.json(), "ErrorResponse")
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}, answer.text


@check
def requests_streams_line_by_line():
    with requests.Session() as session:
        for _ in range(3):
            with session.post(CHAT, json=STREAM, headers={"x-mock-gap-ms": "1"}, stream=True, timeout=10) as answer:
                lines = [line for line in answer.iter_lines() if line]
            assert lines[-1] == b"data: [DONE]" and len(lines) > 10, lines
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["x-accel-buffering"] == "no" and "no-cache" in answer.headers["cache-control"]


@check
def requests_uploads_chunked():
    body = json.dumps({**ASK, "pad": "x" * 300_000}).encode()
    pieces = (body[at:at + 10_000] for at in range(0, len(body), 10_000))
    answer = requests.post(CHAT, data=pieces, headers={"content-type": "application/json"}, timeout=10)
    assert answer.status_code == 200 and answer.json()["object"] == "chat.completion", answer.text


@check
def httpx_keeps_one_connection():
    with httpx.Client(timeout=10) as client:
        sockets = set()
        for ask in (ASK, STREAM, {**ASK, "model": "nobody"}, ASK, STREAM):
            with client.stream("POST", CHAT, json=ask, headers={"x-mock-gap-ms": "0"}) as answer:
                answer.read()
                sockets.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        assert len(sockets) == 1, sockets


@check
async def httpx_asynchronously_streams_and_leaves():
    before = stats()["cancelled"]
    async with httpx.AsyncClient(timeout=10) as client:
        headers = {"x-mock-events": "100000", "x-mock-gap-ms": "5"}
        async with client.stream("POST", CHAT, json=STREAM, headers=headers) as answer:
            async for line in answer.aiter_lines():
                assert line.startswith("data: "), line
                break
    until("it is cancelled", lambda: stats()["cancelled"] == before + 1)


@check
def invokes_any_json():
    for path in ("demo/invoke", "demo/versions/v2/invoke", "demo-alias/invoke", "demo@v2/invoke"):
        answer = httpx.post(f"{GATEWAY}/v1/models/{path}", json={"instances": [1, 2]})
        assert answer.status_code == 200 and answer.json()["echo"] == {"instances": [1, 2]}, (path, answer.text)
    assert_refused(httpx.post(f"{GATEWAY}/v1/models/demo/versions/v9/invoke", json={}), 404)


@check
def models_are_as_openai_describes_them():
    models = httpx.get(f"{GATEWAY}/v1/models").json()
    validate(models, "ListModelsResponse")
    assert models["data"], models
    for model in models["data"]:
        validate(httpx.get(f"{GATEWAY}/v1/models/{model['id']}").json(), "Model")


@check
def errors_are_as_openai_describes_them():
    json_type = {"content-type": "application/json"}
    for content in (b"", b"{", b"[]", b"nul", b'{"model":1}', b'{"messages":[]}', b'{"model":"demo","model":"demo"}',
                    b'{"model":"demo","stream":1}', b'{"model":"\xff"}', b"[" * 1000):
        assert_refused(httpx.post(CHAT, content=content, headers=json_type), 400)
    assert_refused(httpx.post(CHAT, json={**ASK, "model": "nobody"}), 404)
    assert_refused(httpx.post(f"{GATEWAY}/v1/nothing", json=ASK), 404)
    assert_refused(httpx.get(f"{GATEWAY}/v1/models/nobody"), 404)
    assert_refused(httpx.post(CHAT, content=b"x" * 17_000_000), 413)
    assert_refused(httpx.post(CHAT, json={**ASK, "model": "dead"}), 502)
    assert_refused(httpx.post(CHAT, json={**ASK, "model": "nowhere"}), 503)
    assert_refused(httpx.post(CHAT, json={**ASK, "model": "hasty"}, headers={"x-mock-delay-ms": "20000"}), 504)
    answer = httpx.get(CHAT)
    assert_refused(answer, 405)
    assert answer.headers["allow"] == "POST", answer.headers
    answer = httpx.delete(f"{GATEWAY}/v1/models")
    assert_refused(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD", answer.headers


@check
def an_error_within_a_stream_is_as_openai_describes_it():
    headers = {"x-mock-gap-ms": "1", "x-mock-cut-after": "3", "x-mock-cut-inside": "1"}
    answer = httpx.post(CHAT, json=STREAM, headers=headers)
    assert answer.status_code == 200 and "[DONE]" not in answer.text, answer.text
    last = [line for line in answer.text.splitlines() if line][-1]
    validate(json.loads(last.removeprefix("data: ")), "ErrorResponse")


run()
