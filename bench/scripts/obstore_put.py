"""obstore's put of a path, which it sends as a multipart upload: FILE URL BUCKET KEY."""

import sys
from pathlib import Path

import obstore
from obstore.store import S3Store

file, url, bucket, key = sys.argv[1:]
store = S3Store(bucket, endpoint=url, region="us-east-1", client_options={"allow_http": url.startswith("http:")})
obstore.put(store, key, Path(file))
