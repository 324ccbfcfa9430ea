"""boto3's upload_file: FILE URL BUCKET KEY."""

import sys

import boto3

file, url, bucket, key = sys.argv[1:]
boto3.client("s3", endpoint_url=url).upload_file(file, bucket, key)
