"""Programs that are no browsers: those that shall pass, those that lie about who they are, those that borrow a name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from gateway.engine import bots
from gateway.engine.bots.operator import OPERATORS

ELSEWHERE = "81.2.69.142"  # an address of an access provider: no crawler's


class Program(NamedTuple):
    """What sends one request. `operator`: whose address it comes from, "" for anybody's."""

    name: str
    user_agent: str
    operator: str = ""
    target: str = "/shoes?page=2"


FEED_READERS = (
    Program("Feedly", "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 12 subscribers; like FeedFetcher-Google)"),
    Program("Inoreader", "Mozilla/5.0 (compatible; inoreader.com; 3 subscribers)"),
    Program("NewsBlur", "NewsBlur Feed Fetcher - 5 subscribers - http://www.newsblur.com/site/1/x"),
    Program("The Old Reader", "Mozilla/5.0 (compatible; theoldreader.com; 1 subscribers; feed-id=1)"),
    Program("Miniflux", "Mozilla/5.0 (compatible; Miniflux/2.2.4; +https://miniflux.app)"),
    Program("FreshRSS", "FreshRSS/1.25.0 (Linux; https://freshrss.org)"),
    Program("Tiny Tiny RSS", "Tiny Tiny RSS/24.01 (https://tt-rss.org/)"),
    Program("NetNewsWire", "NetNewsWire (RSS Reader; https://netnewswire.com/)"),
    Program("Liferea", "Liferea/1.15.8 (Linux; https://lzone.de/liferea/)"),
    Program("newsboat", "newsboat/2.38 (Linux x86_64)"),
    Program("AntennaPod", "AntennaPod/3.6.0"),
)
PACKAGE_MANAGERS = (
    Program("git", "git/2.47.0"),
    Program("git-lfs", "git-lfs/3.6.0 (GitHub; linux amd64; go 1.23.3)"),
    Program("JGit", "JGit/7.0.0"),
    Program("pip", 'pip/24.3 {"ci":null,"cpu":"x86_64","implementation":{"name":"CPython","version":"3.12.7"}}'),
    Program("uv", "uv/0.5.4 (Linux; x86_64)"),
    Program("Poetry", "poetry/1.8.4 CPython/3.12.7 Linux/6.11"),
    Program("conda", "conda/24.9.2 requests/2.32.3 CPython/3.12.7"),
    Program("npm", "npm/10.9.0 node/v22.11.0 linux x64 workspaces/false"),
    Program("Yarn", "yarn/1.22.22 npm/? node/v22.11.0 linux x64"),
    Program("pnpm", "pnpm/9.14.2 npm/? node/v22.11.0 linux x64"),
    Program("apt", "Debian APT-HTTP/1.3 (2.9.8)"),
    Program("dnf", "libdnf (Fedora Linux 41; server; Linux.x86_64)"),
    Program("apk", "apk-tools/2.14.6"),
    Program("pacman", "pacman/7.0.0 (Linux x86_64) libalpm/15.0.0"),
    Program("Cargo", "cargo/1.82.0 (8f40fc59f 2024-08-21)"),
    Program("Composer", "Composer/2.8.3 (Linux; 6.11; PHP 8.3.13; cURL 8.11.0)"),
    Program("Maven", "Apache-Maven/3.9.9 (Java 21.0.5; Linux 6.11.0)"),
    Program("Gradle", "Gradle/8.11 (Linux;6.11.0;amd64) (Eclipse Adoptium;21.0.5)"),
    Program("NuGet", "NuGet Command Line/6.12.1 (Microsoft Windows NT 10.0)"),
    Program("RubyGems", "Ruby, RubyGems/3.5.23 x86_64-linux Ruby/3.3.6 (2024-11-05 patchlevel 108)"),
    Program("Docker", "docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.11 os/linux arch/amd64"),
    Program("Helm", "Helm/3.16.3"),
    Program("Homebrew", "Homebrew/4.4.5 (Macintosh; arm64 Mac OS X 15.1) curl/8.7.1"),
)
MONITORS = (
    Program("UptimeRobot", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "UptimeRobot"),
    Program("Pingdom", "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)", "Pingdom"),
    Program("Kubernetes", "kube-probe/1.31"),
    Program("AWS load balancer", "ELB-HealthChecker/2.0"),
    Program("Google Cloud", "GoogleHC/1.0"),
    Program("Prometheus", "Prometheus/3.0.0"),
    Program("Blackbox exporter", "Blackbox Exporter/0.25.0"),
    Program("Uptime Kuma", "Uptime-Kuma/1.23.15"),
    Program("Nagios check_http", "check_http/v2.4.0 (monitoring-plugins 2.4.0)"),
    Program("Gatus", "Gatus/1.0"),
    Program("Zabbix", "Zabbix"),
    Program("Site24x7", "Site24x7"),
    Program("NodePing", "NodePing"),
)
WEBHOOKS = (
    Program("GitHub", "GitHub-Hookshot/044aadd"),
    Program("GitLab", "GitLab/17.6.1-ee"),
    Program("Bitbucket", "Bitbucket-Webhooks/2.0"),
    Program("CircleCI", "CircleCI-Webhook/1.0"),
    Program("Stripe", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
    Program("PayPal", "PayPal/AUHD-214.0-58391792"),
    Program("PayPal IPN", "PayPal/AUHR-214.0-51787073PayPal IPN ( https://www.paypal.com/ipn )"),
    Program("Adyen", "Adyen HttpClient 1.0"),
    Program("Mollie", "Mollie HTTP client/1.0"),
    Program("Shopify", "Shopify-Captain-Hook"),
    Program("WooCommerce", "WooCommerce/9.4.2 Hookshot (WordPress/6.7)"),
    Program("SendGrid", "SendGrid Event API"),
    Program("Twilio", "TwilioProxy/1.1"),
    Program("Zoom", "Zoom Marketplace/1.0a"),
    Program("Svix", "Svix-Webhooks/1.65.0 (sender-9YMgn; +https://www.svix.com/http-sender/)"),
    Program("Amazon SNS", "Amazon Simple Notification Service Agent"),
)
_ACME = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
AUTHORITIES = (
    Program(
        "Let's Encrypt",
        "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)",
        target=_ACME,
    ),
    Program(
        "Google Trust Services",
        "Mozilla/5.0 (compatible; Google-Trust-Services/2.0; http://pki.goog/)",
        target=_ACME,
    ),
    Program("DigiCert", "DigiCert DCV/1.1", target="/.well-known/pki-validation/fileauth.txt"),
    Program("a client that looks at its own file", "curl/8.9.1", target=_ACME),
)

HELPERS = {
    "feed readers": FEED_READERS,
    "git and package managers": PACKAGE_MANAGERS,
    "monitors": MONITORS,
    "webhooks": WEBHOOKS,
    "certificate authorities": AUTHORITIES,
}

_COMPATIBLE = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; {})"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) {}"
FAKES = (
    Program("Googlebot", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    Program(
        "Googlebot smartphone",
        "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko)"
        " Chrome/131.0.6778.69 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ),
    Program("Bingbot", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
    Program("YandexBot", "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)"),
    Program("Baiduspider", "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"),
    Program("DuckDuckBot", "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)"),
    Program(
        "Applebot", _MAC.format("Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)")
    ),
    Program("GPTBot", _COMPATIBLE.format("GPTBot/1.2; +https://openai.com/gptbot")),
    Program("ClaudeBot", _COMPATIBLE.format("ClaudeBot/1.0; +claudebot@anthropic.com")),
    Program("PerplexityBot", _COMPATIBLE.format("PerplexityBot/1.0; +https://perplexity.ai/perplexitybot")),
    Program("AhrefsBot", "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"),
    Program(
        "Amazonbot",
        _MAC.format("Version/8.0.2 Safari/600.2.5 (Amazonbot/0.1; +https://developer.amazon.com/support/amazonbot)"),
    ),
)

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
BORROWED = {
    "Chrome on Windows": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/131.0.0.0 Safari/537.36",
    "Chrome on a phone": f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/131.0.0.0 Mobile Safari/537.36",
    "Firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1"
    " Safari/605.1.15",
}
"""User agents that scripts give themselves."""

_CHROME_COPY = (
    'sec-ch-ua: "Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24"', "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Windows"', "upgrade-insecure-requests: 1", "user-agent: {}",
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7", "sec-fetch-site: none", "sec-fetch-mode: navigate", "sec-fetch-user: ?1",
    "sec-fetch-dest: document", "accept-encoding: gzip, deflate, br, zstd", "accept-language: en-US,en;q=0.9",
)  # fmt: skip
SCRIPTS: dict[str, tuple[str, ...]] = {
    "curl -A": ("User-Agent: {}", "Accept: */*"),
    "curl -A --compressed": ("User-Agent: {}", "Accept: */*", "Accept-Encoding: deflate, gzip, br, zstd"),
    "wget -U": ("User-Agent: {}", "Accept: */*", "Accept-Encoding: identity", "Connection: Keep-Alive"),
    "requests": (
        "User-Agent: {}", "Accept-Encoding: gzip, deflate, br, zstd", "Accept: */*", "Connection: keep-alive",
    ),
    "requests, Accept headers set": (
        "User-Agent: {}", "Accept-Encoding: gzip, deflate, br", "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
        "Connection: keep-alive", "Accept-Language: en-US,en;q=0.9",
    ),
    "httpx": ("Accept: */*", "Accept-Encoding: gzip, deflate, br, zstd", "Connection: keep-alive", "User-Agent: {}"),
    "aiohttp": ("User-Agent: {}", "Accept: */*", "Accept-Encoding: gzip, deflate, br"),
    "urllib": ("Accept-Encoding: identity", "User-Agent: {}", "Connection: close"),
    "Scrapy": (
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language: en",
        "User-Agent: {}", "Accept-Encoding: gzip, deflate, br, zstd",
    ),
    "Go net/http": ("User-Agent: {}", "Accept-Encoding: gzip"),
    "node fetch": (
        "connection: keep-alive", "user-agent: {}", "accept: */*", "accept-language: *", "sec-fetch-mode: cors",
        "accept-encoding: br, gzip, deflate",
    ),
    "axios": (
        "Accept: application/json, text/plain, */*", "User-Agent: {}", "Accept-Encoding: gzip, compress, deflate, br",
        "Connection: close",
    ),
    "okhttp": ("User-Agent: {}", "Connection: Keep-Alive", "Accept-Encoding: gzip"),
    "every header of Chrome 131 copied": _CHROME_COPY,
}  # fmt: skip
"""Client -> its request headers, with {} for the user agent, in the order in which it sends them."""


def foreign_addresses(program: Program) -> Iterator[str]:
    """Addresses that are not this crawler's: an access provider's, this machine's, and those of other crawlers."""
    yield from (ELSEWHERE, "2a02:8071:1::1", "127.0.0.1")
    if not program.name.startswith("Googlebot"):
        yield "66.249.66.1"  # Googlebot's
    if program.name != "Bingbot":
        yield "40.77.167.1"  # Bingbot's


def own_address(operator: str) -> str:
    """One of the addresses that the operator publishes. Raises LookupError if it publishes none."""
    shipped = json.loads((Path(bots.__file__).parent / "ranges.json").read_bytes())["lists"]
    for published in OPERATORS[operator].lists:
        if published.name in shipped:
            return str(ip_network(shipped[published.name]["networks"].split()[0])[0])
    raise LookupError(f"no published address of {operator} is shipped")
