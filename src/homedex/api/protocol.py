"""What the HTTP parser itself refuses, before there is a request: answered as every other error is."""

import json
from secrets import token_hex

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from homedex.api.problems import MEDIA_TYPE
from homedex.errors import BadRequest


class ProblemProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, whose 400 is a problem document: a URL of more than 64 KiB, broken chunks, bytes that are no HTTP."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, and hang up."""
        error = BadRequest(f"this is no HTTP request that can be read: {msg.rstrip('.').lower()}, or its head is too long.")
        request_id = token_hex(8)
        body = {"type": f"/problems/{error.slug}", "title": error.title, "status": error.status, "detail": error.detail}
        content = json.dumps(body | {"instance": "", "request_id": request_id}).encode()
        head = (
            "HTTP/1.1 400 Bad Request",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(content)}",
            f"x-request-id: {request_id}",
            "connection: close",
        )
        self.transport.write("\r\n".join([*head, "", ""]).encode() + content)
        self.transport.close()
