"""Where failed runs are told: a webhook that the environment names, such as that of a chat's channel.

Such an address is a secret itself: it is written into no log and no message, and what is sent leaves this machine only
encrypted. A redirect is not followed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import urllib.error
import urllib.request
from urllib.parse import urlsplit

VARIABLE = "PARLER_FAILURE_WEBHOOK"
SECONDS = 10.0  # that the other side has to answer


class WebhookError(RuntimeError):
    """An address that is not used, or that did not take a message; the message names neither its path nor its key."""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def webhook() -> str | None:
    """The address in the environment; None where there is none.

    Raises:
        WebhookError: it is no `https://` address, and no `http://` one of this machine.
    """
    address = os.environ.get(VARIABLE, "").strip()
    if not address:
        return None
    try:
        parts = urlsplit(address)
        host, scheme, _ = parts.hostname or "", parts.scheme, parts.port
    except ValueError:
        host = scheme = ""
    if not host or not (scheme == "https" or (scheme == "http" and _is_loopback(host))):
        raise WebhookError(f"{VARIABLE}: set it to an https:// address, or to http:// on 127.0.0.1, or unset it")
    return address


def post(address: str, text: str) -> None:
    """Send `text` as JSON `{"text": ...}`, which Slack, Mattermost, Rocket.Chat and Google Chat take.

    Raises:
        WebhookError: it did not arrive; the message says why.
    """
    host = urlsplit(address).hostname or ""
    handlers: list[urllib.request.BaseHandler] = [_Stay()]
    if _is_loopback(host):
        handlers.append(urllib.request.ProxyHandler({}))
    body = json.dumps({"text": text}).encode()
    try:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS):
            return
    except urllib.error.HTTPError as error:
        reason = f"answered {error.code}"
    except (OSError, ValueError) as error:  # its text may hold the address
        reason = f"could not be reached ({type(getattr(error, 'reason', error)).__name__})"
    raise WebhookError(f"the webhook at {host} {reason}: look at {VARIABLE}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
