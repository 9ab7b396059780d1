"""What the assessment can find: fixed ids, severities, titles, and what to do about each. Pure.

Lines for nginx are for the origin's or a front server's; lines for the gateway are for its configuration. A line that
begins with # says where the next ones belong.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.posture.finding import Remediation
from gateway.posture.severity import Severity

_NGINX = "# nginx, in the server block of the site"
_GATEWAY = "# gateway, in its configuration"


@dataclass(frozen=True, slots=True)
class Kind:
    """severity: unless the verdict has its own."""

    id: str
    severity: Severity
    title: str
    remedy: Remediation


def _header(name: str, value: str, why: str) -> Remediation:
    return Remediation(
        f"Send {name} with every answer: {why}", (_NGINX, f'add_header {name} "{value}" always;')
    )


_RENEW = Remediation(
    "Renew the certificate now and let a timer do it from now on, well before the end; then let the servers read it.",
    ("certbot renew", "nginx -s reload", "# gateway: reads its certificates again", "kill -HUP GATEWAY_PID"),
)

KINDS: tuple[Kind, ...] = (
    Kind("origin-direct", "high", "Origin answers around the gateway", Remediation("")),  # remedy.origin_exposed
    Kind("tls-absent", "medium", "Site is served without TLS", Remediation(
        "Serve the site over https, with a certificate of a public authority, and redirect http to it.",
        ("certbot certonly -d HOST", _GATEWAY,
         'listeners: [{address: "0.0.0.0:443", tls: {certificate: /etc/letsencrypt/live/HOST/fullchain.pem,'
         " private_key: /etc/letsencrypt/live/HOST/privkey.pem}}]"),
    )),
    Kind("tls-old", "high", "TLS 1.0 or 1.1 is accepted", Remediation(
        "Accept TLS 1.2 and 1.3 alone: RFC 8996 ended the older versions, and every browser of today has them.",
        (_NGINX, "ssl_protocols TLSv1.2 TLSv1.3;", "# gateway, in each listener's tls (1.2 is its default)",
         'min_version: "1.2"'),
    )),
    Kind("tls-untrusted", "high", "Certificate is not trusted", Remediation(
        "Use a certificate of an authority that visitors trust, for exactly this name, and send the chain with it:"
        " the file holds the certificate first, then the intermediate ones.",
        ("certbot certonly -d HOST", _NGINX, "ssl_certificate /etc/letsencrypt/live/HOST/fullchain.pem;",
         "ssl_certificate_key /etc/letsencrypt/live/HOST/privkey.pem;",
         "# gateway: listeners[].tls.certificate is the same fullchain.pem"),
    )),
    Kind("tls-expiry", "medium", "Certificate is over or ends soon", _RENEW),
    Kind("header-hsts", "medium", "Strict-Transport-Security is missing", _header(
        "Strict-Transport-Security", "max-age=31536000", "browsers then never ask for the site without TLS. Begin with"
        " a short max-age, and add includeSubDomains once every name below has TLS.",
    )),
    Kind("header-csp", "medium", "Content-Security-Policy is missing", _header(
        "Content-Security-Policy", "default-src 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'self'",
        "it names where scripts may come from, so that an injected one does not run. Try it as"
        " Content-Security-Policy-Report-Only first.",
    )),
    Kind("header-nosniff", "low", "X-Content-Type-Options is missing", _header(
        "X-Content-Type-Options", "nosniff", "browsers then take files for nothing but what their type says.",
    )),
    Kind("header-frame", "low", "Framing by other sites is allowed", _header(
        "X-Frame-Options", "SAMEORIGIN", "other sites then cannot lay the page under theirs and catch clicks;"
        " frame-ancestors in the Content-Security-Policy does the same, and can name sites that may.",
    )),
    Kind("header-referrer", "info", "Referrer-Policy is missing", _header(
        "Referrer-Policy", "strict-origin-when-cross-origin", "other sites then do not learn the addresses of pages.",
    )),
    Kind("cookie-flags", "low", "Cookies lack Secure, HttpOnly or SameSite", Remediation(
        "Set the attributes where the application sets the cookie: Secure (never sent without TLS), HttpOnly (no script"
        " reads it) and SameSite=Lax (other sites do not send it along); in front of an application that cannot,"
        " let the proxy add them.",
        (f"{_NGINX}, of every cookie", "proxy_cookie_flags ~ secure httponly samesite=lax;"),
    )),
    Kind("version-leak", "low", "Versions of products are told", Remediation(
        "Leave version numbers out of headers and error pages: they tell which known holes to try. Updates help"
        " more, so check that these are current.",
        (_NGINX, "server_tokens off;", "proxy_hide_header X-Powered-By;", "# Apache", "ServerTokens Prod",
         "ServerSignature Off", "# PHP, in php.ini", "expose_php = Off"),
    )),
    Kind("rate-limit-absent", "medium", "Requests are not limited", Remediation(
        "Limit how often one client may ask, and answer 429 past it.",
        ("# gateway, in the file of engine.policy",
         "rules: [{name: too-often, action: rate_limit, limit: {requests: 120, per: 1m, burst: 20}}]",
         "# nginx, in http and in the server block", "limit_req_zone $binary_remote_addr zone=visitors:10m rate=10r/s;",
         "limit_req zone=visitors burst=20 nodelay;", "limit_req_status 429;"),
    )),
    Kind("slow-head", "medium", "Unfinished requests hold connections", Remediation(
        "Give a request's head a short time as a whole, so that slow clients cannot hold every connection.",
        (_GATEWAY, "limits: {head_timeout: 10s}", _NGINX, "client_header_timeout 10s;",
         "# Apache, with mod_reqtimeout", "RequestReadTimeout header=10"),
    )),
)  # fmt: skip
BY_ID = {kind.id: kind for kind in KINDS}
