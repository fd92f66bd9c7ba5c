"""The Anthropic SDK for Python against the gateway."""

import anthropic

from checks import GATEWAY, check, raises, run, stats, until

client = anthropic.Anthropic(api_key="sk-ant-any", base_url=GATEWAY, timeout=20, max_retries=0)
ASK = {"model": "claude", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}


def mock(**behaviour):
    return {f"x-mock-{name.replace('_', '-')}": str(value) for name, value in behaviour.items()}


@check
def answers_whole():
    answer = client.messages.create(**ASK)
    assert answer.content[0].text.startswith("Hello!") and answer.stop_reason == "end_turn", answer
    assert answer.model == "claude" and answer.usage.output_tokens > 0, answer
    assert len(answer._request_id or "") == 0 or answer._request_id, answer


@check
def streams_what_it_answers_whole():
    whole = client.messages.create(**ASK).content[0].text
    for how in (mock(gap_ms=1), mock(gap_ms=0, split=3), mock(gap_ms=0, batch=100)):
        with client.messages.stream(**ASK, extra_headers=how) as stream:
            assert "".join(stream.text_stream) == whole
            final = stream.get_final_message()
        assert final.stop_reason == "end_turn" and final.usage.output_tokens > 1, final


@check
def an_unknown_model_is_not_found():
    error = raises(anthropic.NotFoundError, lambda: client.messages.create(**{**ASK, "model": "gpt-9"}))
    assert error.body["type"] == "error" and error.body["error"]["type"] == "not_found_error", error.body
    assert len(error.body["request_id"]) == 32 and "gpt-9" in error.body["error"]["message"], error.body


@check
def a_bad_body_is_a_bad_request():
    error = raises(anthropic.BadRequestError, lambda: client.messages.create(**ASK, extra_body={"model": 1}))
    assert error.body["error"]["type"] == "invalid_request_error", error.body


@check
def an_overloaded_model_server_is_overloaded():
    error = raises(anthropic.APIStatusError, lambda: client.messages.create(**ASK, extra_headers=mock(status=529)))
    assert type(error).__name__ == "OverloadedError" and error.status_code == 529, error


@check
def no_model_server_is_overloaded():
    error = raises(anthropic.APIStatusError, lambda: client.messages.create(**{**ASK, "model": "claude-nowhere"}))
    assert type(error).__name__ == "OverloadedError" and error.status_code == 529, error
    assert error.body["error"]["type"] == "overloaded_error", error.body
    # Nothing was tried: asking again later is of use.
    assert "x-should-retry" not in error.response.headers and error.response.headers["retry-after"]


@check
def a_model_server_that_cannot_be_reached_is_an_error():
    error = raises(anthropic.InternalServerError, lambda: client.messages.create(**{**ASK, "model": "claude-dead"}))
    assert error.status_code == 502 and error.body["error"]["type"] == "api_error", error.body


@check
def a_model_server_that_dies_within_its_answer_is_an_error():
    def read(how):
        with client.messages.stream(**ASK, extra_headers=how) as stream:
            for _ in stream.text_stream:
                pass
    for how in (mock(cut_after=3), mock(reset_after=3), mock(cut_after=3, cut_inside=1)):
        error = raises(anthropic.APIStatusError, lambda: read({**how, "x-mock-gap-ms": "2"}))
        assert error.body["error"]["type"] == "api_error", (how, error.body)


@check
def closing_a_stream_cancels_it_upstream():
    before = stats()
    with client.messages.stream(**ASK, extra_headers=mock(events=100000, gap_ms=5)) as stream:
        next(iter(stream.text_stream))
    until("it is cancelled", lambda: stats()["cancelled"] == before["cancelled"] + 1)


run()
