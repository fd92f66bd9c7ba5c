"""The OpenAI SDK for Python against the gateway."""

import asyncio
import json

import httpx
import openai

from checks import ADMIN, GATEWAY, check, page, raises, run, stats, until

ask = {"api_key": "sk-any", "base_url": f"{GATEWAY}/v1", "timeout": 20, "max_retries": 0}
client = openai.OpenAI(**ask)
HELLO = [{"role": "user", "content": "hello w\u00f6rld \U0001f30d"}]


def mock(**behaviour):
    return {f"x-mock-{name.replace('_', '-')}": str(value) for name, value in behaviour.items()}


def plain(**more):
    return client.chat.completions.create(model="demo", messages=HELLO, **more)


def stream(**more):
    return client.chat.completions.create(model="demo", messages=HELLO, stream=True, **more)


def text(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


@check
def lists_and_describes_models():
    listed = {model.id: model for model in client.models.list()}
    assert {"demo", "claude"} <= set(listed), listed
    assert listed["demo"].object == "model" and listed["demo"].owned_by, listed["demo"]
    assert client.models.retrieve("demo").id == "demo"
    error = raises(openai.NotFoundError, lambda: client.models.retrieve("nothing/there"))
    assert error.code == "model_not_found", error.body


@check
def answers_whole():
    answer = plain()
    assert answer.choices[0].message.content.startswith("Hello!"), answer
    assert HELLO[0]["content"] in answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason == "stop" and answer.model == "demo"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@check
def streams_what_it_answers_whole():
    whole = plain()
    chunks = list(stream(stream_options={"include_usage": True}, extra_headers=mock(gap_ms=1)))
    assert text(chunks) == whole.choices[0].message.content, text(chunks)
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage, chunks[-1]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks[:-1])
    # Nobody asked for usage: there is none, and no chunk without choices.
    chunks = list(stream(extra_headers=mock(gap_ms=0)))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


@check
def streams_whatever_the_writes_of_the_model_server():
    whole = plain().choices[0].message.content
    for how in (mock(split=1), mock(split=7), mock(dribble=11), mock(batch=5), mock(batch=1000),
                mock(framing="length"), mock(framing="close"), mock(close=1), mock(early_head=1)):
        got = text(stream(extra_headers={**how, "x-mock-gap-ms": "0"}))
        assert got == whole, (how, got)


@check
def answers_by_alias_version_and_other_name():
    before = stats()["models"].get("upstream-name", 0)
    for name in ("demo-alias", "demo@v2", "renamed"):
        answer = client.chat.completions.create(model=name, messages=HELLO)
        assert answer.choices[0].message.content.startswith("Hello!"), (name, answer)
    assert stats()["models"]["upstream-name"] == before + 1, stats()


@check
async def works_asynchronously():
    async with openai.AsyncOpenAI(**ask) as client:
        whole = await client.chat.completions.create(model="demo", messages=HELLO)
        chunks = await client.chat.completions.create(
            model="demo", messages=HELLO, stream=True, extra_headers=mock(gap_ms=1))
        assert text([chunk async for chunk in chunks]) == whole.choices[0].message.content
        assert "demo" in [model.id async for model in client.models.list()]


@check
async def fifty_streams_at_once_are_never_mixed_up():
    async with openai.AsyncOpenAI(**ask) as client:
        async def one(number):
            said = f"I am number {number} of fifty"
            asked = {"model": "demo", "messages": [{"role": "user", "content": said}]}
            chunks = await client.chat.completions.create(
                **asked, stream=True, extra_headers=mock(gap_ms=5, split=number + 1))
            got = text([chunk async for chunk in chunks])
            assert f"\u201c{said}\u201d" in got and got.endswith("in my place."), (number, got)
            return got.replace(said, "")
        assert len(set(await asyncio.gather(*map(one, range(50))))) == 1


@check
def an_unknown_model_is_not_found():
    for how in (False, True):
        error = raises(openai.NotFoundError, lambda: client.chat.completions.create(
            model="gpt-9", messages=HELLO, stream=how))
        assert (error.code, error.param, error.type) == \
            ("model_not_found", "model", "invalid_request_error"), error.body
        assert "gpt-9" in error.message and error.request_id, error.message


@check
def a_bad_body_is_a_bad_request():
    for more, param in (({"model": 5}, "model"), ({"model": None}, "model"), ({"stream": "yes"}, "stream")):
        error = raises(openai.BadRequestError, lambda: plain(extra_body=more))
        assert error.param == param and error.code and error.type == "invalid_request_error", error.body


@check
def requests_carry_an_id_and_keep_their_fields():
    ids = set()
    for _ in range(3):
        answer = client.chat.completions.with_raw_response.create(model="demo", messages=HELLO)
        ids.add(answer.headers["x-request-id"])
    assert len(ids) == 3 and all(len(one) == 32 for one in ids), ids
    assert plain()._request_id not in ids


@check
def a_model_server_that_dies_before_it_answers_is_an_error():
    for how in ("close", "reset"):
        for streams in (False, True):
            error = raises(openai.InternalServerError,
                           lambda: plain(stream=streams, extra_headers=mock(hangup=how)))
            assert error.status_code == 502 and error.code == "upstream_error", error.body


@check
def a_model_server_that_dies_within_its_answer_is_an_error():
    for how in (mock(cut_after=3), mock(reset_after=3), mock(cut_after=3, cut_inside=1),
                mock(cut_after=3, early_head=1), mock(cut_after=1, split=5),
                mock(cut_after=3, framing="length")):
        got = []

        def read():
            for chunk in stream(extra_headers={**how, "x-mock-gap-ms": "2"}):
                got.append(chunk)
        error = raises(openai.APIError, read)
        assert got and "model server" in error.message, (how, got, error)
        assert error.code == "upstream_error", (how, error.body)
    whole = raises((openai.APIError, httpx.HTTPError), lambda: plain(extra_headers=mock(cut_after=40, split=10)))
    assert "200" not in str(whole), whole


@check
def errors_of_the_model_server_are_passed_on():
    error = raises(openai.RateLimitError, lambda: plain(extra_headers=mock(status=429, retry_after=7)))
    assert error.response.headers["retry-after"] == "7", error.response.headers
    assert error.message.endswith("the mock was asked to fail"), error.message
    error = raises(openai.InternalServerError, lambda: stream(extra_headers=mock(status=500)))
    assert "the mock was asked to fail" in error.message, error.message


@check
def retries_are_the_sdks_where_the_model_server_fails():
    before = stats()["requests"]
    patient = client.with_options(max_retries=1)
    error = raises(openai.InternalServerError, lambda: patient.chat.completions.create(
        model="demo", messages=HELLO, extra_headers=mock(status=503)))
    assert error.status_code == 503
    assert stats()["requests"] == before + 2, "the request and one retry of the SDK, none of the gateway"


@check
def retries_are_not_multiplied_where_the_gateway_gave_up():
    def asked():
        rows = page(f"{ADMIN}/metrics").splitlines()
        return sum(float(row.split()[-1]) for row in rows
                   if row.startswith("ringway_requests_total{") and 'model="dead"' in row)
    patient = client.with_options(max_retries=3)
    error = raises(openai.InternalServerError, lambda: patient.chat.completions.create(
        model="dead", messages=HELLO))
    assert error.status_code == 502 and error.response.headers["x-should-retry"] == "false", error
    until("one request is counted", lambda: asked() == 1)


@check
def closing_a_stream_cancels_it_upstream():
    before = stats()
    chunks = stream(extra_headers=mock(events=100000, gap_ms=5))
    for _ in range(3):
        next(chunks)
    assert stats()["streams_open"] == 1
    chunks.close()
    until("it is cancelled", lambda: stats()["cancelled"] == before["cancelled"] + 1)
    assert stats()["streams_open"] == 0


@check
async def a_cancelled_task_cancels_it_upstream():
    before = stats()
    client = openai.AsyncOpenAI(**ask)

    async def read():
        chunks = await client.chat.completions.create(
            model="demo", messages=HELLO, stream=True, extra_headers=mock(events=3, stall_after=2, gap_ms=1))
        async for _ in chunks:
            began.set()
    began = asyncio.Event()
    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()
    until("it is cancelled", lambda: stats()["cancelled"] == before["cancelled"] + 1)


@check
def a_timeout_cancels_it_upstream():
    before = stats()
    raises(openai.APITimeoutError, lambda: plain(timeout=0.2, extra_headers=mock(delay_ms=20000)))
    until("it is cancelled", lambda: stats()["cancelled"] == before["cancelled"] + 1)

    def read():
        for _ in stream(timeout=0.2, extra_headers=mock(events=9, stall_after=2, gap_ms=1)):
            pass
    raises((openai.APITimeoutError, openai.APIConnectionError, Exception), read)
    until("it is cancelled", lambda: stats()["cancelled"] == before["cancelled"] + 2)


@check
def a_deadline_of_the_gateway_is_an_error():
    error = raises(openai.InternalServerError, lambda: client.chat.completions.create(
        model="hasty", messages=HELLO, extra_headers=mock(delay_ms=20000)))
    assert error.status_code == 504 and error.code == "upstream_timeout", error.body

    def read():
        for _ in client.chat.completions.create(
                model="hasty", messages=HELLO, stream=True, extra_headers=mock(events=9, stall_after=2, gap_ms=1)):
            pass
    error = raises(openai.APIError, read)
    assert error.code == "upstream_timeout", error


@check
def embeds():
    answer = client.embeddings.create(model="demo", input=["a", "b"])
    assert answer.data[0].embedding == [0.25, -0.5, 0.125, 1.0], answer
    assert answer.usage.total_tokens > 0


@check
def completes_text():
    whole = client.completions.create(model="demo", prompt="hello")
    assert whole.choices[0].text.startswith("Hello!"), whole
    chunks = client.completions.create(model="demo", prompt="hello", stream=True, extra_headers=mock(gap_ms=0))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text


@check
def responds():
    whole = client.responses.create(model="demo", input="hello")
    assert whole.status == "completed" and whole.output_text.startswith("Hello!"), whole
    events = list(client.responses.create(model="demo", input="hello", stream=True, extra_headers=mock(gap_ms=0)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == whole.output_text, said
    assert events[0].type == "response.created" and events[-1].type == "response.completed", events[-1]


@check
def every_kind_of_stream_that_breaks_is_an_error():
    how = mock(cut_after=3, gap_ms=2)
    for start in (
        lambda: client.completions.create(model="demo", prompt="hello", stream=True, extra_headers=how),
        lambda: client.responses.create(model="demo", input="hello", stream=True, extra_headers=how),
    ):
        error = raises(openai.APIError, lambda: list(start()))
        assert error.code == "upstream_error", error


@check
def large_bodies_go_both_ways():
    long = "long \u00e4 " * 400_000
    answer = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": long}])
    assert "long \u00e4" in answer.choices[0].message.content
    answer = plain(extra_headers=mock(bytes=8_000_000))
    assert len(json.dumps(answer.to_dict())) > 7_900_000
    error = raises(openai.APIStatusError, lambda: client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "x" * 17_000_000}]))
    assert error.status_code == 413 and error.code == "request_too_large", error.body


run()
