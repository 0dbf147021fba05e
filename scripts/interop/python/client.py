"""Uploads a file with tus-py-client: `client.py URL FILE`. With TOKEN it sends one; from TOKEN_URL it gets another. With PATIENT it retries for longer."""
import os
import sys

import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

url, path = sys.argv[1:]
client = TusClient(url)
retry = {"retries": 20, "retry_delay": 1} if "PATIENT" in os.environ else {}


def authorize(token: str | None) -> None:
    if token:
        client.set_headers({"Authorization": f"Bearer {token}"})


def upload() -> None:
    authorize(os.environ.get("TOKEN"))
    uploader = client.uploader(path, chunk_size=4 * 1024 * 1024, metadata={"filename": "file.bin"}, **retry)
    for attempt in range(5):
        try:
            # With a URL, it asks the server where to go on.
            if attempt > 0 and uploader.url:
                uploader = client.uploader(path, chunk_size=4 * 1024 * 1024, url=uploader.url, **retry)
            return uploader.upload()
        except (TusCommunicationError, requests.exceptions.RequestException) as error:
            if attempt == 4:
                raise
            if getattr(error, "status_code", None) == 401:
                if "TOKEN_URL" not in os.environ:
                    raise
                authorize(requests.get(os.environ["TOKEN_URL"]).text)


upload()
