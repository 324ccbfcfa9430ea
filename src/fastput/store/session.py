"""botocore's session and client: made from the user's ordinary configuration, its exceptions translated."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from fastput.answers import StoreAnswer, to_error, unreachable
from fastput.errors import CredentialsError, FastputError, StoreError, UsageError
from fastput.model import ObjectUri
from fastput.store.base import StoreOptions
from fastput.version import __version__

_CONNECT_TIMEOUT_S = 5


def make_client(options: StoreOptions) -> tuple[Any, Any]:
    """A botocore session and its S3 client.

    Raises:
        UsageError, CredentialsError: the configuration can't be used.
    """
    import botocore.config
    import botocore.exceptions
    import botocore.session

    _check_userinfo(options.endpoint_url)
    try:
        session = botocore.session.Session(profile=options.profile)
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
        config = botocore.config.Config(
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=options.read_timeout_s,
            # The engine retries (engine/control.py): it knows what has to be looked up before it is repeated.
            retries={"mode": "standard", "total_max_attempts": 1},
            user_agent_extra=f"fastput/{__version__}",
            # We say which checksum goes with what; botocore's own would be refused by many compatible stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        _check_bundle(options.ca_bundle or session.get_config_variable("ca_bundle"))
        client = session.create_client(
            "s3",
            region_name=options.region or session.get_config_variable("region") or "us-east-1",
            endpoint_url=options.endpoint_url,
            verify=False if not options.verify else options.ca_bundle,
            config=config,
        )
    except UsageError:
        raise
    except botocore.exceptions.ProfileNotFound as error:
        raise UsageError(f"{error}: see ~/.aws/config, or leave --profile and AWS_PROFILE out") from None
    except botocore.exceptions.PartialCredentialsError as error:
        raise CredentialsError(f"no credentials: {error}: set both, or give a --profile") from None
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        if _is_about_credentials(error):
            raise CredentialsError(f"no credentials: {error}") from None
        raise UsageError(f"the AWS configuration can't be used: {without_userinfo(str(error))}") from None
    _check_userinfo(client.meta.endpoint_url)  # from the environment, or a profile
    return session, client


def parse_time(text: str) -> datetime:
    """As botocore, whose dateutil takes 44 of the 55 ms of a page of 1,000 keys."""
    import botocore.utils

    with contextlib.suppress(ValueError, TypeError):
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is not None:
            return parsed
    other: datetime = botocore.utils.parse_timestamp(text)
    return other


def without_userinfo(text: str) -> str:
    """A message without what stands before an @, as user names and passwords do in URLs."""
    return re.sub(r"(\w+://)?\S*@", r"\1***@", text)


def _check_userinfo(url: str | None) -> None:
    """
    Raises:
        UsageError: a password that would end up in messages, and that no store asks for.
    """
    if "@" in (url or ""):
        raise UsageError(
            f"the endpoint {without_userinfo(url or '')} has a user name or a password in it: S3 has keys for that: "
            "take it out"
        )


def _check_bundle(path: str | None) -> None:
    if not path:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"no PEM certificates in it ({error})"
        raise UsageError(f"the CA bundle {path} can't be used: {reason}") from None


def no_credentials() -> CredentialsError:
    """The exception for credentials that aren't there."""
    return CredentialsError(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give a --profile of ~/.aws/config"
    )


def _innermost(error: BaseException) -> str:
    """What the operating system said: urllib3 and botocore wrap it in three layers of their own."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _is_about_credentials(error: Exception) -> bool:
    from botocore import exceptions

    names = ("CredentialRetrievalError", "SSOError", "TokenRetrievalError", "UnauthorizedSSOTokenError",
             "SSOTokenLoadError", "LoginError", "RefreshWithMFAUnsupportedError")  # fmt: skip
    return isinstance(error, tuple(cls for name in names if (cls := getattr(exceptions, name, None))))


def _is_of_the_parser(error: Exception) -> bool:
    """Whether botocore failed at reading an answer: it lets through whatever int() and the like raise there."""
    import traceback

    names = [str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, (TypeError, AttributeError, LookupError)):
        return bool(names) and names[-1].startswith("botocore.")  # an error's code that is no text
    # Recursion may end in there without having begun there.
    return names.count("botocore.parsers") > (100 if isinstance(error, RecursionError) else 0)


def _text(value: object) -> str:
    """A field of an error document, which may be a list or a dict where elements are repeated or nested."""
    return value if isinstance(value, str) else ""


def translate(error: Exception, uri: ObjectUri, action: str) -> FastputError:
    """Whatever botocore raises, as an exception of ours; action completes "could not ..."."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        said: dict[str, Any] = dict(error.response.get("Error", {}))
        metadata = error.response.get("ResponseMetadata", {})
        headers = metadata.get("HTTPHeaders", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        code = _text(said.get("Code"))
        answer = StoreAnswer(
            status=status,
            # botocore puts the status where an answer without a body has no code.
            code="" if code.isdigit() else code,
            message=_text(said.get("Message")),
            request_id=metadata.get("RequestId"),
            region=_text(said.get("Region")) or headers.get("x-amz-bucket-region"),
        )
        return to_error(answer, uri, action)
    if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        return no_credentials()
    if _is_about_credentials(error):
        return CredentialsError(f"no credentials: {error}")
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)):
        url = urlsplit(str(error.kwargs.get("endpoint_url", "")))
        endpoint = f"{url.scheme}://{url.netloc}" if url.netloc else "the endpoint"
        return unreachable(uri, endpoint, _innermost(error), isinstance(error, exceptions.SSLError))
    if type(error).__module__.startswith("urllib3."):  # a body that ends too early; botocore knows only some of these
        return unreachable(uri, "the endpoint", _innermost(error))
    if _is_of_the_parser(error):
        from botocore.parsers import ResponseParserError

        text = f"{uri}: could not {action}: the store's answer can't be read: is this an S3 store?"
        # Where an error's document is broken botocore takes the status: this one was a success.
        is_broken = isinstance(error, ResponseParserError)
        return StoreError(text, bucket=uri.bucket, key=uri.key, status=200 if is_broken else None)
    if isinstance(error, RecursionError):
        # botocore follows a redirect that isn't S3's (301 without a region) for ever.
        return to_error(StoreAnswer(301), uri, action)
    if isinstance(error, (exceptions.BotoCoreError, ValueError)):
        return UsageError(f"{uri}: could not {action}: {error}", bucket=uri.bucket, key=uri.key)
    return FastputError(f"{uri}: could not {action}: {type(error).__name__}: {error}", bucket=uri.bucket, key=uri.key)
