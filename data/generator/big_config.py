"""The configuration written beside a benchmark log."""

CONFIG = """\
# Written by the generator beside a benchmark log.
project: benchmark
timezone: Europe/Berlin
state: state/
publish: published/

sources:
  shop:
    format: parquet
    path: events/*.parquet
    channel: {column: channel}
    columns:
      event_id: id
      occurred_at: ts
      received_at: received
      anonymous_id: cookie
      user_id: customer
      event_name: event
      page_path: url
      utm_source: utm_source
      utm_medium: utm_medium
      utm_campaign: utm_campaign
      user_agent: agent
      revenue_amount: amount
      currency: currency
      sequence: hit
    properties: [props]

people:
  - {path: customers.parquet, format: parquet, user_id: customer, traits: [birth_year, plan], valid_from: changed_at}

touchpoints:
  - {label: Campaign landing, when: {utm_medium: [cpc, affiliate]}}
  - {label: Social landing, when: {utm_medium: social}}
  - {label: Blog, when: {page_path: {glob: '/blog/**'}}}
  - {label: Section, when: {page_path: {glob: '/c/**'}}}
  - {label: Product page, when: {page_path: {glob: '/p/**'}}}
exclude_traffic: {bots: builtin}

models:
  four_stage: builtin
  value_journey: builtin
  shop:
    stages:
      - name: attracted
        rules:
          - {id: campaign, when: {utm_medium: [cpc, affiliate]}}
          - {id: social, when: {utm_medium: social}}
          - {id: newsletter, when: {utm_medium: email}}
          - {id: blog, when: {event: page_view, page_path: {glob: '/blog/**'}}}
          - {id: page, when: {event: page_view}}
      - name: interested
        rules:
          - {id: searched, when: {event: search}}
          - {id: dark_product, when: {event: product_view, properties.props.theme: dark}}
          - {id: product, when: {event: product_view}}
          - {id: compared, when: {event: [compare, review_read]}}
          - {id: beta, when: {event: sign_up, properties.props.beta: true}}
          - {id: joined, when: {event: sign_up}}
      - name: buying
        rules:
          - {id: cart_b, when: {event: add_to_cart, properties.props.variant: b}}
          - {id: cart, when: {event: add_to_cart}}
          - {id: checkout, when: {event: [checkout_started, payment_info, payment_error]}}
          - {id: big_order, when: {event: purchase, revenue_amount: {at_least: 100}}}
          - {id: order, when: {event: purchase}}
      - name: served
        rules:
          - {id: soon_after, when: {event: support_chat}, after: {event: purchase, within: 14d}}
          - {id: delivered, when: {event: delivered}}
          - {id: unhappy, when: {event: csat_answer, properties.props.score: {at_most: 2}}}
          - {id: answered, when: {event: csat_answer}}
      - name: loyal
        rules:
          - {id: second_order, when: {event: purchase}, nth: {at_least: 2}}

personas:
  - {name: student, when: {trait.birth_year: {at_least: 2001}}}
  - {name: professional, when: {trait.plan: business}}
  - {name: campaign_visitor, when: {first.utm_medium: [cpc, affiliate, social]}}
  - {name: repeat_buyer, as_of: now, when: {count.purchase: {at_least: 2}}}

funnels:
  checkout:
    steps:
      - {name: product, when: {event: product_view}}
      - {name: cart, when: {event: add_to_cart}, within: 1d}
      - {name: checkout, when: {event: checkout_started}}
      - {name: paid, when: {event: purchase}}
    window: 7d
    goal: order
  smooth_payment:
    steps:
      - {name: started, when: {event: checkout_started}}
      - {name: payment, when: {event: payment_info}}
      - {name: paid, when: {event: purchase}}
    window: 1d
    ties: strictly_later
    exclusions:
      - {between: [started, paid], when: {event: payment_error}, then: drop}
  researched:
    steps:
      - {name: compared, when: {event: compare}}
      - {name: read_reviews, when: {event: review_read}}
      - {name: variant_b, when: {event: product_view, properties.props.variant: b}}
    order: any_order
    window: 3d

goals:
  order: {when: {event: purchase}, value: revenue_amount}
currency: {report: EUR, rates: {USD: 0.92}}

promises:
  - {name: Delivered within 3 days, stage: post_purchase, from: {event: purchase}, to: {event: delivered}, within: 3d}
  - {name: Support satisfies, stage: post_purchase, measure: csat, target: {at_least: 4}}
surveys:
  csat: {event: csat_answer, score: properties.props.score, scale: [1, 5]}
friction:
  - {name: Payment failed, when: {event: payment_error}}
"""
