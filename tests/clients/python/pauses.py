"""The SDKs of OpenAI and Anthropic for Python, while the model server pauses and the gateway keeps the connection alive."""

import asyncio

import anthropic
import openai

from checks import ADMIN, GATEWAY, check, page, run

HELLO = [{"role": "user", "content": "hello"}]
# 2.2 s before the first event, and as long again between bursts of 20 words.
PAUSES = {"x-mock-delay-ms": "2200", "x-mock-gap-ms": "110", "x-mock-batch": "20"}
MODELS = ("plain", "kept", "told", "kept-and-told")
openai_client = openai.AsyncOpenAI(api_key="any", base_url=f"{GATEWAY}/v1", timeout=20, max_retries=0)
claude = anthropic.AsyncAnthropic(api_key="any", base_url=GATEWAY, timeout=20, max_retries=0)


def heartbeats():
    rows = page(f"{ADMIN}/metrics").splitlines()
    return sum(float(row.split()[-1]) for row in rows if row.startswith("ringway_heartbeats_total"))


async def chat(model):
    asked = {"model": model, "messages": HELLO}
    whole = await openai_client.chat.completions.create(**asked)
    chunks = await openai_client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}, extra_headers=PAUSES)
    chunks = [chunk async for chunk in chunks]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == whole.choices[0].message.content, said
    assert chunks[-1].usage == whole.usage, chunks[-1]
    assert chunks[-2].choices[0].finish_reason == "stop", chunks[-2]


async def helped_chat(model):
    """The helper that puts the events together."""
    asked = {"model": model, "messages": HELLO}
    whole = await openai_client.chat.completions.create(**asked)
    async with openai_client.chat.completions.stream(**asked, extra_headers=PAUSES) as stream:
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content == whole.choices[0].message.content, answer


async def completion(model):
    whole = await openai_client.completions.create(model=model, prompt="hello")
    chunks = await openai_client.completions.create(model=model, prompt="hello", stream=True, extra_headers=PAUSES)
    said = "".join([chunk.choices[0].text async for chunk in chunks])
    assert said == whole.choices[0].text, said


async def response(model):
    whole = await openai_client.responses.create(model=model, input="hello")
    events = await openai_client.responses.create(model=model, input="hello", stream=True, extra_headers=PAUSES)
    events = [event async for event in events]
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == whole.output_text, said
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed"), events


async def messages(model):
    asked = {"model": f"claude-{model}", "max_tokens": 100, "messages": HELLO}
    whole = await claude.messages.create(**asked)
    async with claude.messages.stream(**asked, extra_headers=PAUSES) as stream:
        said = await stream.get_final_message()
    assert said.content[0].text == whole.content[0].text and said.stop_reason == "end_turn", said
    events = await claude.messages.create(**asked, stream=True, extra_headers=PAUSES)
    kinds = [event.type async for event in events]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop", kinds


@check
async def streams_with_pauses_are_whole():
    before = heartbeats()
    asked = [(kind, model) for kind in (chat, helped_chat, completion, response, messages) for model in MODELS]
    ended = await asyncio.gather(*(kind(model) for kind, model in asked), return_exceptions=True)
    wrong = [f"{kind.__name__} of {model}: {how!r}" for (kind, model), how in zip(asked, ended) if how]
    assert not wrong, "\n".join(wrong)
    # One before the first event, one between the bursts.
    seen = heartbeats() - before
    assert seen >= 2 * len(asked), f"{seen} heartbeats in {len(asked)} streams"


@check
def what_a_model_server_says_beside_its_events_is_no_event():
    asked = {"model": "chatty", "messages": HELLO, "stream": True}
    client = openai.OpenAI(api_key="any", base_url=f"{GATEWAY}/v1", timeout=20, max_retries=0)
    chunks = list(client.chat.completions.create(**asked))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["Hello"], chunks


run()
