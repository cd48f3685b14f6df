# aioquic's HTTP/3 server, for h3.rs: python3 server.py PORT KEY CERT
#
# GET /bytes/N answers N bytes and the trailer x-sum; /count the length of the body in x-count; /echo the
# body and its trailers.
import asyncio
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated

PIECE = b"x" * 65536
# Of a body that is sent faster than it is acknowledged, so much is kept.
MOST = 1 << 22


class Request:
    def __init__(self, path):
        self.path = path
        self.body = []
        self.length = 0
        self.trailers = []


class Server(QuicConnectionProtocol):
    http = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.requests = {}
        self.tasks = set()

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if self.http is None:
            return
        for received in self.http.handle_event(event):
            self.http_event_received(received)

    def http_event_received(self, event):
        stream = event.stream_id
        if isinstance(event, HeadersReceived):
            if stream in self.requests:
                self.requests[stream].trailers = event.headers
            else:
                self.requests[stream] = Request(dict(event.headers)[b":path"].decode())
        elif isinstance(event, DataReceived):
            request = self.requests[stream]
            request.length += len(event.data)
            if request.path != "/count":
                request.body.append(event.data)
        else:
            return
        if event.stream_ended:
            task = asyncio.ensure_future(self.answer(stream, self.requests.pop(stream)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def answer(self, stream, request):
        head = [(b":status", b"200")]
        if request.path == "/count":
            head.append((b"x-count", str(request.length).encode()))
            self.http.send_headers(stream, head, True)
        elif request.path == "/echo":
            self.http.send_headers(stream, head)
            self.http.send_data(stream, b"".join(request.body), not request.trailers)
            if request.trailers:
                self.http.send_headers(stream, request.trailers, True)
        else:
            count = int(request.path.removeprefix("/bytes/"))
            self.http.send_headers(stream, head)
            await self.send_bytes(stream, count)
            self.http.send_headers(stream, [(b"x-sum", str(count).encode())], True)
        self.transmit()

    async def send_bytes(self, stream, left):
        while left > 0:
            size = min(left, len(PIECE))
            self.http.send_data(stream, PIECE[:size], False)
            self.transmit()
            left -= size
            while len(self._quic._streams[stream].sender._buffer) > MOST:
                await asyncio.sleep(0.001)


async def main(port, key, certificate):
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, is_client=False)
    configuration.load_cert_chain(certificate, key)
    await serve("127.0.0.1", int(port), configuration=configuration, create_protocol=Server)
    await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
