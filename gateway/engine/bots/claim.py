"""Who a user agent says it works for: tokens of operators that can be verified, or that must not be believed.

Only what the operator's own addresses send. Left out on purpose: link previews that a person's device fetches
(WhatsApp, iMessage), monitors that also run on the customer's machines (Datadog, New Relic, Checkly, Site24x7), and
operators that document no way (LinkedIn, ByteDance): their claims can be neither proved nor refuted. Search engines are
the exception: whoever names one is held to it, documented or not.

Of two tokens at one position the shorter one is found, so no token here is the beginning of one with another meaning.
"""

from __future__ import annotations

# operator (a key of OPERATORS) -> class -> tokens, anywhere in the user agent, lower case
CLAIMS: dict[str, dict[str, tuple[str, ...]]] = {
    "Google": {
        "search_engine": (
            "googlebot", "google-inspectiontool", "googleother", "storebot-google", "apis-google", "google-safety",
            "google-structured-data-testing-tool", "google web preview", "google favicon",
            "duplexweb-google", "google-xrawler", "google-physicalweb",
        ),
        "advertising": ("adsbot-google", "mediapartners-google", "mediapartners (googlebot", "google-adwords",
                        "google-ads-"),
        "ai_crawler": ("google-extended", "google-cloudvertexbot"),
    },
    "Google fetchers": {
        "feed_reader": ("feedfetcher-google",),
        "ai_assistant": ("google-notebooklm", "google-gemininotebook", "google-agent", "googleagent-mariner",
                         "gemini-deep-research",
                         "google-gemini-deep"),
        "social_preview": ("googleimageproxy", "googlemessages", "google-pinpoint"),
        "search_engine": ("google-site-verification", "google-read-aloud", "google-producer", "googleproducer",
                          "developers.google.com/+/web/snippet"),
    },
    "Bing": {
        "search_engine": ("bingbot", "msnbot"),
        "social_preview": ("bingpreview", "microsoftpreview"),
        "advertising": ("adidxbot",),
    },
    "Yandex": {
        "search_engine": (
            "yandexbot", "yandexmobilebot", "yandeximages", "yandeximageresizer", "yandexvideo", "yandexmedia",
            "yandexblogs", "yandexnews", "yandexmetrika", "yandexaccessibilitybot", "yandexrenderresourcesbot",
            "yandexfavicons", "yandexwebmaster", "yandexpagechecker", "yandexcalendar", "yandexsitelinks",
            "yandexontodb", "yandexmarket", "yandexverticals", "yandexsearchshop", "yandexuserproxy",
            "yandex.com/bots",
        ),
        "advertising": ("yandexdirect", "yandexadnet"),
        "ai_crawler": ("yandexadditional",),
    },
    "Baidu": {"search_engine": ("baiduspider",), "advertising": ("baiduadsbot",)},
    "Yahoo": {"search_engine": ("slurp",)},
    "Yahoo Japan": {"search_engine": ("y!j-",)},
    "DuckDuckGo": {
        "search_engine": ("duckduckbot", "duckduckgo-favicons-bot"),
        "ai_assistant": ("duckassistbot",),
    },
    "Apple": {"search_engine": ("applebot",)},
    "Sogou": {"search_engine": ("sogou web spider", "sogou pic spider", "sogou news spider", "sogou inst spider",
                                "sogou spider")},
    "Petal": {"search_engine": ("petalbot", "aspiegelbot")},
    "Seznam": {"search_engine": ("seznambot", "seznamhomepagecrawler")},
    "Naver": {"search_engine": ("compatible; yeti/", "naverbot")},
    "Qwant": {"search_engine": ("qwantify", "qwantbot")},
    "360": {"search_engine": ("360spider", "haosouspider")},
    "Brave": {"search_engine": ("bravebot",)},
    "Exalead": {"search_engine": ("exabot",)},
    "Coc Coc": {"search_engine": ("coccocbot", "compatible; coccoc")},
    "Mojeek": {"search_engine": ("mojeekbot",)},
    "Mail.Ru": {"search_engine": ("mail.ru_bot",)},
    "Kagi": {"search_engine": ("kagibot",)},
    "OpenAI": {
        "ai_crawler": ("gptbot", "oai-searchbot"),
        "ai_assistant": ("chatgpt-user", "chatgpt agent"),
    },
    "Anthropic": {
        "ai_crawler": ("claudebot", "claude-searchbot", "anthropic-ai", "claude-web"),
        "ai_assistant": ("claude-user",),
    },
    "Perplexity": {"ai_crawler": ("perplexitybot",), "ai_assistant": ("perplexity-user", "perplexityuser")},
    "Mistral": {"ai_assistant": ("mistralai-user",), "ai_crawler": ("mistralai-index", "mistralbot")},
    "Common Crawl": {"ai_crawler": ("ccbot/",)},
    "Meta": {
        "social_preview": ("facebookexternalhit", "facebot", "meta-externalhit", "meta-webindexer"),
        "ai_crawler": ("meta-externalagent", "facebookbot"),
        "ai_assistant": ("meta-externalfetcher",),
        "advertising": ("facebookcatalog", "meta-externalads"),
    },
    "Amazon": {"search_engine": ("amazonbot",)},
    "Twitter": {"social_preview": ("twitterbot",)},
    "Pinterest": {"social_preview": ("pinterestbot", "pinterest.com/bot")},
    "Telegram": {"social_preview": ("telegrambot",)},
    "Ahrefs": {"seo": ("ahrefsbot", "ahrefssiteaudit")},
    "Semrush": {"seo": ("semrushbot", "siteauditbot", "splitsignalbot")},
    "UptimeRobot": {"monitoring": ("uptimerobot",)},
    "Pingdom": {"monitoring": ("pingdom",)},
    "StatusCake": {"monitoring": ("statuscake",)},
    "Better Stack": {"monitoring": ("better uptime", "betteruptimebot", "better stack")},
    "updown.io": {"monitoring": ("updown.io",)},
    "HetrixTools": {"monitoring": ("hetrixtools",)},
    "Oh Dear": {"monitoring": ("oh dear", "ohdear")},
}  # fmt: skip
