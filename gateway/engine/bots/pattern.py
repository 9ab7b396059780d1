"""User agents of automation that the package crawler-user-agents does not have, and what it has wrong for us.

All of ours are matched without regard to case, so they are written in lower case. Read by `catalogue`.
"""

from __future__ import annotations

# The package's pattern -> ours; None drops it. Found by running all patterns over 37,000 user agents of browsers and
# phones (the fixtures of matomo's device-detector and of isbot).
CORRECTIONS: dict[str, str | None] = {
    r"AP3A\.240617\.008": None,  # an Android 15 build: every phone that runs it
    r"Sogou": None,  # SogouMobileBrowser is a browser; the spiders are in CLAIMS
    r"Sonic": r" Sonic\/",  # ViewSonic makes tablets
    r"Butterfly": r"Butterfly\/",  # HTC Butterfly is a phone
    r"Viber": r"^Viber",  # at the end of a browser's it is the application's web view
    r"MetaIAB Facebook": None,  # the in-app browser of Facebook
    r"Fever": r"^Fever\/",  # a phone
    r"Expanse": r"^Expanse, a Palo Alto",  # a phone
    r"Fluid": None,  # a site-specific browser that people use
    r"Code\/1\.": None,  # the web view of an editor
    r"Trae\/": None,  # likewise
    r"008\/": r"^008\/",  # ends an identifier in baiduboxapp
    r"Notion\/": r"^Notion\/",  # Notion, PayPal, Tumblr and Asana: the preview or call-back is the whole user agent,
    r"PayPal\/": r"^PayPal\/",  # the application's web view has it after a browser's
    r"Tumblr\/": r"^Tumblr\/",
    r"Asana\/": r"^Asana\/",
    r"Fetch\/": r"^Fetch\/",  # MozacFetch is a part of Firefox for Android
    r"AdsBot-Google([^-]|$)": r"AdsBot-Google",  # the rest tells it from AdsBot-Google-Mobile, which is no matter here
    r"BlogTraffic\/\d\.\d+ Feed-Fetcher": r"BlogTraffic\/",  # this and the next five: a plain word says enough
    r"ContextualBot[\s\S]*outcomes\.net": r"ContextualBot",
    r"Current[\s\S]*RSS Reader": r"RSS Reader",
    r"Spider[\s\S]*spider\.com": r"spider\.com",
    r"GoogleAssociationService$": r"GoogleAssociationService",
    r"SSL Labs$": r"SSL Labs",
    r"Chirp|gotosocial": r"gotosocial",  # GoogleChirp is a loudspeaker
    r"okhttp": None,  # the HTTP stack of most Android applications
    r"Chrome Privacy Preserving Prefetch Proxy": None,  # asks on behalf of a browser whether it may prefetch
}

# Ours, without regard to case. Tokens that open the user agent of a program which is no browser:
SCRIPTED_CLIENTS = (
    r"(?:curl|wget|python|ruby|perl|php|java|jakarta|node|node\.?js|axios|undici|ureq|lwp)(?![a-z])",
    r"(?:got|deno|bun|xh|hyper|k6|hey|needle|siege|locust|wrk|vegeta|gatling|insomnia|colly)(?:/|$)",
    r"(?:pycurl|libcurl|urllib|httpx|aiohttp|go-http-client|go-resty|fasthttp|java-http-client|apache-httpclient)",
    r"(?:http_?client|restsharp|rest-client|http\.rb|faraday|typhoeus|guzzlehttp|libwww-perl|mojolicious|www-mechanize)",
    r"(?:node-|superagent|postmanruntime|httpie|reqwest|cpp-httplib|lua-resty-http|winhttp|powershell|aria2|scrapy)",
    r"(?:apache-jmeter|apachebench)",
)
# Anywhere in the user agent: scanners by name, and text that attacks whoever writes it into a log or a page.
SCANNERS = (
    "sqlmap", "nikto", "nuclei", "masscan", "zgrab", "nmap", "gobuster", "dirbuster", "dirb/", "feroxbuster", "ffuf",
    "fuzz faster", "wfuzz", "wpscan", "acunetix", "netsparker", "burp suite", "burpsuite", "burpcollaborator",
    "openvas", "nessus", "arachni", "w3af", "whatweb", "jorgee", "hydra/", "l9explore", "leakix",
    "${jndi:", "() {", "(){", "<script", "<?php",
)  # fmt: skip
AUTOMATED_BROWSERS = (
    "headless", "phantomjs", "slimerjs", "selenium", "webdriver", "puppeteer", "playwright", "cypress/", "nightmare/",
)  # fmt: skip
# A program that says itself what it is: a name with a version, or the address of a page about it (`+https://...`).
SELF_DECLARED = (
    r"(?<!cu)bot/v?\d",  # Cubot makes phones
    r"crawler/", r"spider/", r"scraper/", r"\+http://", r"\+https://",
)  # fmt: skip

# The package's pattern -> our class, where its tag says something else than what matters here.
CLASS_OF_PATTERN = {
    # A person's assistant fetches what that person just asked for.
    **dict.fromkeys(
        (
            "IsonAI-User",
            "Manus-User",
            "Google-Gemini-CLI",
            "opencode-smartfetch",
            "TwinAgent",
            "Devin",
            "AmazonBuyForMe",
            "Amazon-Bedrock-AgentCore-Browser",
            "Anchor Browser",
            "kagi-fetcher",
            "Poggio-Citations",
            "Amzn-User",
            "PhindBot",
            "TavilyBot",
            "LinkupBot",
            "FirecrawlAgent",
        ),
        "ai_assistant",
    ),
    # Anybody's program on somebody's platform, no crawler of it.
    **dict.fromkeys(("AppEngine-Google", "Amazon CloudFront", r"Salesforce\.com"), "library"),
    **dict.fromkeys(("ModatScanner", "GenomeCrawlerd"), "scanner"),
    # Certificate authorities that look whether a site is its owner's: they ask for one file and attack nobody.
    **dict.fromkeys(("Let's Encrypt", "DigiCert DCV", r"Google-Trust-Services\/"), "monitoring"),
    "NextCloud": "feed_reader",
    "Cloudflare-Stream-Webhook": "webhook",
}

# Programs that are named by the beginning of their user agent. Go's module client has none of its own: it sends
# `Go-http-client/2.0` to proxies, like every Go program, and `git/...` to repositories; its public mirror names itself.
PACKAGE_MANAGERS = (
    r"(?:git|git-lfs|jgit|go-git|libgit2|mercurial|svn|subversion|bzr|fossil|gomodulemirror|goproxy)/",
    r"(?:pip|pipenv|pipx|uv|poetry|pdm|hatch|twine|flit|setuptools|bandersnatch|devpi-server|conda|mamba|micromamba)/",
    r"(?:npm|npx|yarn|pnpm|corepack|verdaccio|volta|jspm)/",
    r"(?:debian |ubuntu )?apt(?:-http|-cacher-ng|-mirror)?/",
    r"(?:libdnf5?|dnf5?|yum|urlgrabber|librepo|packagekit|zypp|zypper|apk-tools|pacman|xbps|opkg|swupd)[ /(]",
    r"pkg/\d|(?:cargo|rustup)[ /]\d|composer/|apache-maven/|maven|apache ivy|gradle/|coursier|sbt/|leiningen|bazel",
    r"nuget|chocolatey|winget|scoop/|powershellget|dotnet-",
    r"(?:bundler|rubygems|gem)/|ruby, rubygems/|cocoapods/|carthage/|swiftpm|xcodes/",
    r"(?:docker|docker-client|containerd|containers|libpod|podman|buildah|skopeo|cri-o|buildkit|buildx|kaniko|nerdctl)/",
    r"(?:go-containerregistry|oras|oras-go|harbor-|distribution|ctr|regclient|crane)/|docker-distribution",
    r"(?:helm|fluxcd|flux|argocd|argo-cd|kustomize|krew)/",
    r"(?:homebrew|linuxbrew|macports|fink|flatpak|libostree|ostree|snapd|appstream|fwupd|guix|nix|mise|asdf)/",
    r"curl/\S+ nix/|r \(\d|cpan|cpanm|cpanminus/|perl-cpan|hex/|mix/|rebar|opam/|cabal|haskell|stack/|dart pub",
    r"(?:conan|vcpkg|spack|meson|cmake|hashicorp terraform|terraform|opentofu|packer|ansible-galaxy|pulp|nexus)[ /]",
    r"(?:artifactory|sonatype|renovate|dependabot|snyk)",
)
# Call-backs of services, by the beginning of their user agent; each with where it can be looked up. Services that send
# the name of a library cannot be told from a script. Anybody can claim to be one of these.
WEBHOOKS = (
    r"github-hookshot",  # docs.github.com, webhooks/webhook-events-and-payloads
    r"gitlab(?=/\d)",  # gitlabhq/gitlabhq, app/services/web_hook_service.rb
    r"bitbucket-webhooks",  # crawler-user-agents; so is each one below that names no source
    r"circleci-webhook",  # circleci.com/docs/outbound-webhooks
    r"stripe(?=/\d)",  # names stripe.com/docs/webhooks itself
    r"paypal(?=/auh[dr]-)",  # webhooks and IPN, which names paypal.com/ipn
    r"adyen httpclient",  # academe/omnipay-adyen
    r"braintree-webhooks",  # JayBizzle/Crawler-Detect, src/Fixtures/Crawlers.php
    r"mollie(?:\.nl)? http client",  # docs.mollie.com/reference/webhooks
    r"recurly webhooks",
    r"shopify-captain-hook",
    r"woocommerce(?=/\S+ hookshot)",  # woocommerce/woocommerce, includes/class-wc-webhook.php
    r"sendgrid event api",
    r"twilioproxy",
    r"zendesk webhook",
    r"zoom marketplace",  # zoom/webhook-sample, README.md
    r"svix-webhooks",  # svix/svix-webhooks, server/svix-server/src/worker.rs: for whoever sends with it
    r"amazon simple notification service agent",  # docs.aws.amazon.com/sns/latest/dg/http-header.html
    r"cloudflare-stream-hook",
)
# Anywhere in the user agent.
FEED_READERS = (
    "feedly", "newsblur", "inoreader", "miniflux/", "freshrss", "tiny tiny rss", "netnewswire", "feedbin",
    "theoldreader", "the old reader", "newsboat/", "newsbeuter/", "rssowl", "quiterss", "akregator", "liferea/",
    "feeddemon", "rssguard", "rss guard", "commafeed", "selfoss/", "rss-bridge", "rss2email", "feed2imap", "elfeed",
    "nextcloud-news", "nextcloud news", "owncloud news", "feedparser/", "simplepie", "magpierss", "rome client",
    "gofeed/", "blogtrottr", "feeder.co", "unread rss reader", "lire rss", "fiery feeds", "newsify", "innologica",
    "newsflash/", "capyreader", "capy reader", "readyou/", "bazqux", "feedhq", "feedwrangler", "feed wrangler",
    "superfeedr", "antennapod", "gpodder", "podcastaddict", "podcast addict", "overcast/", "pocketcasts/",
    "pocket casts", "castro ", "rawdog/", "planet venus", "monitorss", "feedspot", "netvibes", "readkit", "yarr/",
    "vienna/", "reeder/", "newsfire/", "newsgator", "rssbandit", "rss bandit", "bottomfeeder", "feedreader",
    "feed reader", "rssreader", "rss reader", "feeds fetcher", "thunderbird rss", "kill-the-newsletter", "mailbrew",
    "stringer (", "nunux reader", "leed (", "kriss", "sismics reader", "goread", "hackyournews", "news explorer",
)  # fmt: skip
MONITORS = (
    "elb-healthchecker", "googlehc/", "kube-probe/", "googlestackdrivermonitoring", "prometheus/", "blackbox exporter",
    "blackbox-exporter", "amazon-route53-health-check", "amazon route 53 health check", "cloudwatchsynthetics",
    "azure traffic manager", "edge health probe", "alwayson", "consul health check", "consul/health", "check_http",
    "check_curl", "icinga", "nagios", "zabbix", "uptime-kuma", "gatus/", "statping", "monit/", "telegraf/",
    "metricbeat", "elastic-heartbeat", "datadog", "newrelic", "ruxitsynthetic", "sensu", "envoy/hc",
    "railwayhealthcheck", "cloudflare-healthchecks", "cloudflare-traffic-manager", "hyperping", "site24x7", "nodeping",
    "honeybadger", "uptime.com", "uptimia", "uptrends", "pulsetic", "onlineornot", "cronitor",
    "healthchecks.io", "instatus", "phare.io", "upptime", "grafana synthetic", "synthetic-monitoring-agent",
    "pagespeed", "gtmetrix", "thousandeyes", "catchpoint", "apica", "webpagetest", "vigil/", "cabot/", "monitis",
    "ec2 image builder health",
)  # fmt: skip
