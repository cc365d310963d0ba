"""Small exports of other tools, made by their published schemas."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
PERSONS = 12


def moments(seed: int = 7):
    """Yield persons and when they come: each some times."""
    draw = random.Random(seed)
    for person in range(PERSONS):
        at = START + timedelta(hours=draw.randrange(500))
        for visit in range(1 + person % 3):
            yield person, visit, at
            at += timedelta(minutes=5 + draw.randrange(60 * 24))


def as_csv(rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def shopify() -> str:
    rows = []
    for number, (person, visit, at) in enumerate(moments()):
        first = {
            "Name": f"#{1000 + number}",
            "Email": f"p{person}@example.com",
            "Financial Status": "paid",
            "Paid at": f"{at:%Y-%m-%d %H:%M:%S %z}",
            "Fulfillment Status": "fulfilled" if visit else "unfulfilled",
            "Fulfilled at": f"{at + timedelta(days=1):%Y-%m-%d %H:%M:%S %z}" if visit else "",
            "Accepts Marketing": "yes",
            "Currency": "EUR",
            "Subtotal": "20.00",
            "Shipping": "4.90",
            "Taxes": "3.19",
            "Total": "24.90",
            "Discount Code": "",
            "Discount Amount": "0.00",
            "Shipping Method": "Standard",
            "Created at": f"{at:%Y-%m-%d %H:%M:%S %z}",
            "Lineitem quantity": "1",
            "Lineitem name": "Cup",
            "Lineitem price": "10.00",
            "Lineitem sku": "C1",
            "Billing Name": "N N",
            "Cancelled at": "" if number else f"{at + timedelta(hours=3):%Y-%m-%d %H:%M:%S %z}",
            "Payment Method": "Shopify Payments",
            "Refunded Amount": "0.00",
            "Vendor": "Shop",
            "Id": str(5_000_000_000_000 + number),
            "Source": "web",
            "Phone": "",
        }
        more = dict.fromkeys(first, "") | {
            name: first[name]
            for name in ("Name", "Email", "Created at", "Lineitem quantity", "Lineitem price", "Vendor")
        }
        rows += [first, more | {"Lineitem name": "Plate"}]
    return as_csv(rows)


def woocommerce() -> str:
    return json.dumps(
        [
            {
                "id": 700 + number,
                "parent_id": 0,
                "number": str(700 + number),
                "order_key": f"wc_order_{number}",
                "created_via": "checkout",
                "version": "9.1.0",
                "status": "completed" if visit else "processing",
                "currency": "EUR",
                "date_created": f"{at:%Y-%m-%dT%H:%M:%S}",
                "date_created_gmt": f"{at:%Y-%m-%dT%H:%M:%S}",
                "date_modified_gmt": f"{at:%Y-%m-%dT%H:%M:%S}",
                "discount_total": "0.00",
                "total": "24.90",
                "customer_id": person if person > 4 else 0,
                "billing": {"first_name": "N", "email": f"p{person}@example.com"},
                "payment_method": "stripe",
                "date_paid_gmt": f"{at:%Y-%m-%dT%H:%M:%S}",
                "date_completed_gmt": f"{at + timedelta(days=1):%Y-%m-%dT%H:%M:%S}" if visit else None,
                "cart_hash": "d9f1",
                "meta_data": [{"id": 1, "key": "k", "value": "v"}],
                "line_items": [
                    {"id": 1, "name": "Cup", "product_id": 9, "quantity": 1, "total": "10.00"},
                    {"id": 2, "name": "Plate", "product_id": 8, "quantity": 1, "total": "10.00"},
                ],
            }
            for number, (person, visit, at) in enumerate(moments())
        ]
    )


def umami() -> str:
    return as_csv(
        [
            {
                "website_id": "w",
                "session_id": f"s{person}",
                "visit_id": f"v{person}-{visit}",
                "event_id": f"e{number}-{kind}",
                "hostname": "shop.example",
                "browser": "firefox",
                "os": "Linux",
                "device": "desktop",
                "screen": "1x1",
                "language": "en",
                "country": "DE",
                "url_path": "/cup",
                "url_query": "",
                "utm_source": "news",
                "utm_medium": "email",
                "utm_campaign": "",
                "utm_content": "",
                "utm_term": "",
                "referrer_path": "",
                "referrer_domain": "example.org",
                "page_title": "Cup",
                "event_type": str(1 + kind),
                "event_name": "add_to_cart" if kind else "",
                "tag": "",
                "distinct_id": f"u{person}" if person > 6 else "",
                "created_at": f"{at + timedelta(minutes=kind):%Y-%m-%d %H:%M:%S}",
            }
            for number, (person, visit, at) in enumerate(moments())
            for kind in (0, 1)
        ]
    )


def plausible() -> str:
    return as_lines(
        [
            {
                "timestamp": f"{at + timedelta(minutes=step):%Y-%m-%d %H:%M:%S}",
                "name": name,
                "site_id": 1,
                "user_id": str(10**18 + person),
                "session_id": str(10**17 + person * 10 + visit),
                "hostname": "shop.example",
                "pathname": "/cup",
                "referrer": "https://example.org/x",
                "referrer_source": "example.org",
                "browser": "Firefox",
                "operating_system": "Linux",
                "screen_size": "Desktop",
                "country_code": "DE",
                "utm_source": "",
                "utm_medium": "",
                "utm_campaign": "",
                "utm_term": "",
                "utm_content": "",
                "meta.key": [],
                "meta.value": [],
                "revenue_reporting_amount": "24.9" if step else None,
                "revenue_reporting_currency": "EUR" if step else "",
            }
            for person, visit, at in moments()
            for step, name in enumerate(("pageview", "purchase"))
        ]
    )


def matomo() -> str:
    visits = []
    for number, (person, visit, at) in enumerate(moments()):
        stamp = int(at.timestamp())
        actions = [
            {"type": "action", "url": "https://shop.example/cup", "pageTitle": "Cup", "timestamp": stamp},
            {
                "type": "event",
                "url": "https://shop.example/cup",
                "eventCategory": "Video",
                "eventAction": "video_play",
                "timestamp": stamp + 20,
            },
            {
                "type": "goal",
                "goalName": "sign_up",
                "goalId": 1,
                "url": "https://shop.example/in",
                "timestamp": stamp + 40,
            },
            {"type": "ecommerceOrder", "orderId": f"o{number}", "revenue": "24.9", "timestamp": stamp + 60},
        ]
        visits.append(
            {
                "idSite": "1",
                "idVisit": str(number),
                "visitIp": "192.0.2.0",
                "visitorId": f"{person:016x}",
                "actionDetails": actions,
                "goalConversions": 1,
                "visitCount": str(visit + 1),
                "actions": "4",
                "userId": f"u{person}" if person > 6 else None,
                "serverTimestamp": stamp,
                "lastActionTimestamp": stamp + 60,
                "referrerType": "campaign",
                "campaignName": "spring",
                "referrerUrl": "",
                "deviceType": "Desktop",
                "browserName": "Firefox",
                "operatingSystemName": "Linux",
                "countryCode": "de",
            }
        )
    return json.dumps(visits)


STAGES = ("Prospecting", "Needs Analysis", "Proposal/Price Quote", "Closed Won")


def salesforce() -> str:
    return as_csv(
        [
            {
                "Id": f"008{person:05}{step:010}",
                "OpportunityId": f"006{person:015}",
                "CreatedById": "005x",
                "CreatedDate": f"{START + timedelta(days=3 * step, hours=person):%Y-%m-%dT%H:%M:%S.000+0000}",
                "StageName": stage,
                "Amount": "1200",
                "ExpectedRevenue": "600",
                "CloseDate": "2026-05-01",
                "Probability": str(25 * step),
                "ForecastCategory": "Pipeline",
                "IsDeleted": "false",
            }
            for person in range(PERSONS)
            for step, stage in enumerate(STAGES[: 2 + person % 3])
        ]
    )


def hubspot() -> str:
    stages = ("appointmentscheduled", "presentationscheduled", "contractsent", "closedwon")
    return as_lines(
        [
            {
                "id": str(9000 + person),
                "properties": {"createdate": "2026-03-01T09:00:00Z", "amount": "1200"},
                "propertiesWithHistory": {
                    "dealstage": [
                        {
                            "value": stage,
                            "timestamp": f"{START + timedelta(days=3 * step, hours=person):%Y-%m-%dT%H:%M:%S.000Z}",
                            "sourceType": "CRM_UI",
                            "sourceId": "userId:1",
                        }
                        for step, stage in enumerate(stages[: 2 + person % 3])
                    ]
                },
                "createdAt": "2026-03-01T09:00:00Z",
                "updatedAt": "2026-03-01T09:00:00Z",
                "archived": False,
            }
            for person in range(PERSONS)
        ]
    )


def zendesk() -> str:
    return as_lines(
        [
            {
                "url": f"https://x.zendesk.com/api/v2/tickets/{number}.json",
                "id": number,
                "external_id": None,
                "via": {"channel": ("email", "chat", "voice")[visit], "source": {"from": {}, "to": {}, "rel": None}},
                "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "updated_at": f"{at + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
                "type": "incident",
                "subject": "Help",
                "raw_subject": "Help",
                "description": "text",
                "priority": "high",
                "status": "solved",
                "requester_id": 20978392 + person,
                "submitter_id": 76872,
                "assignee_id": 235323,
                "organization_id": 509974,
                "group_id": 98738,
                "tags": ["enterprise"],
                "custom_fields": [{"id": 27642, "value": "745"}, {"id": 27648, "value": "yes"}],
                "satisfaction_rating": {"id": 1234, "score": "good"},
            }
            for number, (person, visit, at) in enumerate(moments(), start=1)
        ]
    )


VISITS = sum(1 for _ in moments())
DEALS = sum(2 + person % 3 for person in range(PERSONS))
TOOL_EXPORTS = {
    # file: made by, kind, events, persons
    "orders_export.csv": (shopify, "Shopify orders", VISITS + (VISITS - PERSONS) + 1, PERSONS),
    "orders.json": (woocommerce, "WooCommerce orders", VISITS + (VISITS - PERSONS), PERSONS),
    "website_event.csv": (umami, "Umami", 2 * VISITS, PERSONS),
    "events_v2.jsonl": (plausible, "Plausible", 2 * VISITS, PERSONS),
    "visits.json": (matomo, "Matomo", 4 * VISITS, PERSONS),
    "OpportunityHistory.csv": (salesforce, "Salesforce opportunities", DEALS, PERSONS),
    "deals.jsonl": (hubspot, "HubSpot deals", DEALS, PERSONS),
    "tickets.jsonl": (zendesk, "Zendesk tickets", VISITS, PERSONS),
}
"""File → what makes its text, its kind, and how many events and persons it holds."""
