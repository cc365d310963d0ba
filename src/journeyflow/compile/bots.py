"""User agents that are programs, not people."""

from __future__ import annotations

_WORDS = (
    # `bot` as a word or its end, but not the phones called Cubot.
    r"(^|[^u]|[^c]u|^u)bot([^a-z]|$)",
    "crawl",
    "spider",
    "slurp",
    "scrap(er|y)",
    "archiver|heritrix|nutch|httrack|wget|curl/|libcurl",
    "feed(fetcher|burner|ly|parser|validator|demon|bin)|rss|newsblur|netvibes|simplepie|magpie",
    "mediapartners-google|google favicon|google web preview|adsbot|apis-google|google-read-aloud|bingpreview",
    "facebookexternalhit|facebookcatalog|meta-external|whatsapp/|embedly|outbrain|quora link|bitly|pinterest/0",
    "python-|python/|aiohttp|httpx|go-http-client|httpclient|java/|libwww-perl|lwp::|lwp-|perl|ruby|php/|guzzle",
    "node-fetch|axios|winhttp",
    "headless|phantomjs|selenium|puppeteer|playwright|lighthouse|page ?speed|gtmetrix|webpagetest",
    "pingdom|uptime|statuscake|site24x7|newrelic|monitor|nagios|check_http|zabbix|datadog",
    "validator|linkcheck|link checker|xenu|siteimprove|screaming frog|netcraft|nmap|nikto|masscan|zgrab|censys",
    "sqlmap|nessus|ahrefs|semrush|majestic|megaindex|yandeximages|sogou|teoma|ask jeeves|grapeshot|proximic",
    "admantx|exabot",
    "chatgpt-user|oai-searchbot|anthropic-ai|perplexity|bytespider|cohere-ai|diffbot",
)
BOT_PATTERN = "(?i)" + "|".join(_WORDS)
"""RE2 pattern of known bots, fetchers, monitors and scripts."""
