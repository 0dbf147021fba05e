"""Uploads a file with tus-py-client: `client.py URL FILE`."""
import sys

from requests.exceptions import RequestException
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError


def upload(url: str, path: str) -> None:
    client = TusClient(url)
    uploader = client.uploader(path, chunk_size=4 * 1024 * 1024, metadata={"filename": "file.bin"})
    for attempt in range(5):
        try:
            return uploader.upload()
        except (TusCommunicationError, RequestException):
            if attempt == 4:
                raise
            # It asks the server where to go on.
            uploader = client.uploader(path, chunk_size=4 * 1024 * 1024, url=uploader.url)


upload(sys.argv[1], sys.argv[2])
