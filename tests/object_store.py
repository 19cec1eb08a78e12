"""A local S3 server (moto's) whose requests a test may watch, hold up or refuse."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MODULES = ("moto", "flask", "flask_cors", "werkzeug")  # what the server runs on
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "tests",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-of-anybody",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


class ObjectStore:
    """`refuse` is told every request's environment (WSGI) before it is served; True: 403 is the answer."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.refuse: Callable[[dict[str, Any]], bool] = lambda _: False
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        if self.refuse(environ):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>refused by the test</Message></Error>"]
        return self._app(environ, start)

    def stop(self) -> None:
        self._server.shutdown()

    def client(self) -> Any:
        import boto3

        keys = {"aws_access_key_id": "tests", "aws_secret_access_key": "not-a-secret-of-anybody"}
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", **keys)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """The address of a new bucket."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.client().create_bucket(Bucket=name)
        yield f"s3://{name}"
        self.refuse = lambda _: False
