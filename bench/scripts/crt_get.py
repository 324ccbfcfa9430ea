"""awscrt's own GetObject to a file, as its documentation shows it: FILE URL BUCKET KEY GBPS."""

import sys
from urllib.parse import urlsplit

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.s3 import S3Client, S3RequestTlsMode, S3RequestType

file, url, bucket, key, gbps = sys.argv[1:]
client = S3Client(
    region="us-east-1",
    credential_provider=AwsCredentialsProvider.new_static("test", "test"),
    tls_mode=S3RequestTlsMode.DISABLED,
    part_size=8 * 1024 * 1024,
    throughput_target_gbps=float(gbps),
)
client.make_request(
    type=S3RequestType.GET_OBJECT,
    request=HttpRequest("GET", f"/{bucket}/{key}", HttpHeaders([("Host", urlsplit(url).netloc)])),
    recv_filepath=file,
).finished_future.result()
