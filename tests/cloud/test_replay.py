import httpx

from edge.cloud.replay import can_be_sent_again, let_go


async def pieces():
    yield b"a"


async def test_what_is_in_memory_can_be_sent_again_and_a_stream_can_not():
    async with httpx.AsyncClient() as client:
        assert can_be_sent_again(client.build_request("GET", "http://a"))
        assert can_be_sent_again(client.build_request("POST", "http://a", content=b"abc"))
        assert can_be_sent_again(client.build_request("POST", "http://a", data={"a": "b"}))
        assert not can_be_sent_again(client.build_request("POST", "http://a", content=pieces()))


async def test_an_answer_that_is_given_up_is_closed_and_then_empty():
    closed = []

    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self):
            raise AssertionError("it was read")
            yield b""

        async def aclose(self):
            closed.append(True)

    response = httpx.Response(401, headers={"Content-Encoding": "gzip"}, stream=Stream())
    await let_go(response)
    assert closed
    assert await response.aread() == b""
