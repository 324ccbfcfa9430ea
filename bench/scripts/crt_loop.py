"""A directory through awscrt's own PutObject, file by file, a hundred at a time: DIRECTORY URL BUCKET PREFIX [CA]."""

import os
import sys
import threading
from urllib.parse import quote, urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientTlsContext, TlsContextOptions
from awscrt.s3 import (
    S3ChecksumAlgorithm,
    S3ChecksumConfig,
    S3ChecksumLocation,
    S3Client,
    S3RequestTlsMode,
    S3RequestType,
)

directory, url, bucket, prefix, *ca = sys.argv[1:]
tls = None
if ca:
    options = TlsContextOptions()
    options.override_default_trust_store_from_path(None, ca[0])
    tls = ClientTlsContext(options).new_connection_options()
client = S3Client(
    region="us-east-1",
    credential_provider=AwsCredentialsProvider.new_static("test", "test"),
    tls_mode=S3RequestTlsMode.ENABLED if ca else S3RequestTlsMode.DISABLED,
    tls_connection_options=tls,
    part_size=8 * 1024 * 1024,
    throughput_target_gbps=10.0,
)
host = urlsplit(url).netloc
checksum = S3ChecksumConfig(algorithm=S3ChecksumAlgorithm.CRC64NVME, location=S3ChecksumLocation.TRAILER)
room = threading.Semaphore(100)
failures: list[BaseException] = []


def done(error: BaseException | None = None, **kwargs: object) -> None:
    if error is not None:
        failures.append(error)
    room.release()


requests: list[object] = []
for place, _, file_names in os.walk(directory):
    for name in file_names:
        path = os.path.join(place, name)
        key = quote(f"/{bucket}/{prefix}/{os.path.relpath(path, directory)}")
        headers = HttpHeaders([("Host", host), ("Content-Length", str(os.stat(path).st_size))])
        room.acquire()
        requests.append(
            client.make_request(
                type=S3RequestType.PUT_OBJECT,
                request=HttpRequest("PUT", key, headers),
                send_filepath=path,
                checksum_config=checksum,
                on_done=done,
            )
        )
        del requests[:-200]
for _permit in range(100):
    room.acquire()
sys.exit(f"{len(failures)} failed, the first: {failures[0]}" if failures else 0)
