"""awscrt's own PutObject, as its documentation shows it: FILE URL BUCKET KEY GBPS [CA]."""

import os
import sys
from urllib.parse import urlsplit

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

file, url, bucket, key, gbps, *ca = sys.argv[1:]
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
    throughput_target_gbps=float(gbps),
)
headers = HttpHeaders([("Host", urlsplit(url).netloc), ("Content-Length", str(os.stat(file).st_size))])
checksum = S3ChecksumConfig(algorithm=S3ChecksumAlgorithm.CRC64NVME, location=S3ChecksumLocation.TRAILER)
client.make_request(
    type=S3RequestType.PUT_OBJECT,
    request=HttpRequest("PUT", f"/{bucket}/{key}", headers),
    send_filepath=file,
    checksum_config=checksum,
).finished_future.result()
