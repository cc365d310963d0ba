"""The kinds of business: steps to the goal, who comes, what is recorded, and what an analyst configures."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Step:
    """One step towards the goal."""

    event: str
    real: float
    """Chance to take it for an average person where rates are those of a real shop."""
    generous: float
    seconds: float
    """Median seconds since the step before."""
    intent: float = 0.5
    """How many logits one standard deviation of the hidden intent adds."""
    source: str = "web"
    is_kept: bool = False
    """Done once for all visits, such as a sign-up."""


@dataclass(frozen=True)
class Business:
    """What is sold and how it is recorded."""

    name: str
    model: str
    steps: tuple[Step, ...]
    known_from: dict[str, int]
    """Slice column → first step whose events carry it; -1: all events of a visit."""
    stages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the analyst's own model; none where `four_stage` serves."""
    amount: float = 60.0
    is_repeated: bool = False
    """Whether a customer may reach the goal again."""
    after_goal: str | None = None
    """Event that keeps the promise made with the goal, in a source of its own."""
    wait: tuple[str, str, int, float, float] | None = None
    """(asked, answered, step before which, median quick seconds, median slow seconds)."""
    promise: str | None = None
    """Name of the promise; of `after_goal` where there is one, else of `wait`."""
    promise_within: str = "3d"
    field_event: str = "form_submitted"
    field_step: int = 3
    """The form stands before this step."""
    notices: tuple[str, ...] = ("notice_shown",)
    notice_step: int = 1
    chats: tuple[str, ...] = ("support_chat", "chat_started", "assistant_opened")
    errors: tuple[str, ...] = ("payment_error", "error", "app_crashed", "card_refused")
    mandatory: str = "terms_accepted"

    def next_stage_step(self, step: int) -> int:
        """Return the first step, from this one on, that belongs to a later stage than the step before it.

        Who is kept from taking `step` is kept from that stage; where there is none, the goal stands in for it.
        """
        of_step = [self._stage_of(one.event) for one in self.steps]
        before = of_step[step - 1] if step > 0 else 0
        later = (index for index in range(step, len(self.steps)) if of_step[index] > before)
        return next(later, len(self.steps) - 1)

    def _stage_of(self, event: str) -> int:
        if not self.stages:
            return {"product_view": 1}.get(event, 2)
        return next(index for index, names in enumerate(self.stages.values()) if event in names)

    @property
    def goal(self) -> str:
        """Name of the goal's event."""
        return self.steps[-1].event


SHOP = Business(
    name="shop",
    model="four_stage",
    steps=(
        Step("product_view", 0.52, 0.80, 40),
        Step("add_to_cart", 0.17, 0.50, 90, 0.6),
        Step("checkout_started", 0.50, 0.72, 120, 0.6),
        Step("payment_info", 0.75, 0.88, 60, 0.4),
        Step("purchase", 0.72, 0.88, 45, 0.4),
    ),
    known_from={"device": -1, "browser": -1, "payment_method": 2, "plan": -1},
    is_repeated=True,
    after_goal="delivered",
    promise="Delivered in time",
    wait=("question_sent", "question_answered", 2, 600, 30_000),
    field_event="address_entered",
    field_step=3,
    notices=("stock_notice", "out_of_stock", "size_unavailable"),
)
TRIAL = Business(
    name="trial",
    model="trial",
    steps=(
        Step("sign_up", 0.22, 0.45, 90, 0.5, is_kept=True),
        Step("workspace_created", 0.60, 0.80, 200, 0.4, is_kept=True),
        Step("report_built", 0.45, 0.65, 900, 0.6, is_kept=True),
        Step("plan_selected", 0.40, 0.60, 300, 0.7),
        Step("payment_info", 0.75, 0.88, 60, 0.4),
        Step("subscription_started", 0.80, 0.90, 40, 0.4),
    ),
    known_from={"device": -1, "browser": -1, "payment_method": 4, "plan": 3},
    stages={
        "visiting": ("page_view", "ad_click", "search"),
        "trying": ("sign_up", "workspace_created"),
        "using": ("report_built",),
        "choosing": ("plan_selected", "payment_info"),
        "paying": ("subscription_started",),
    },
    amount=240.0,
    wait=("import_started", "import_finished", 2, 120, 20_000),
    promise="Import within an hour",
    promise_within="1h",
    field_event="company_entered",
    field_step=1,
    notices=("limit_reached", "feature_locked"),
    notice_step=3,
    errors=("payment_error", "error", "sync_failed", "quota_error"),
)
CONTENT = Business(
    name="content",
    model="readers",
    steps=(
        Step("article_read", 0.70, 0.88, 60, 0.3),
        Step("paywall_seen", 0.45, 0.60, 120, 0.4),
        Step("offer_selected", 0.16, 0.42, 60, 0.8),
        Step("payment_info", 0.70, 0.85, 80, 0.4),
        Step("subscription_started", 0.75, 0.88, 40, 0.4),
    ),
    known_from={"device": -1, "browser": -1, "payment_method": 3, "plan": 2},
    stages={
        "reading": ("page_view", "ad_click", "search", "article_read"),
        "interested": ("paywall_seen",),
        "choosing": ("offer_selected", "payment_info"),
        "subscribed": ("subscription_started",),
    },
    amount=90.0,
    wait=("player_started", "player_ready", 2, 3, 900),
    promise="Video plays within a minute",
    promise_within="1m",
    field_event="voucher_entered",
    field_step=3,
    notices=("region_notice", "article_unavailable"),
)
APPOINTMENT = Business(
    name="appointment",
    model="practice",
    steps=(
        Step("service_view", 0.65, 0.82, 50, 0.4),
        Step("slot_search", 0.40, 0.62, 90, 0.6),
        Step("appointment_requested", 0.38, 0.60, 150, 0.6),
        Step("store_visit", 0.62, 0.80, 300_000, 0.5, source="store"),
        Step("treatment_sold", 0.70, 0.85, 2_400, 0.4, source="store"),
    ),
    known_from={"device": -1, "browser": -1, "plan": 1},
    stages={
        "looking": ("page_view", "ad_click", "search", "service_view"),
        "choosing": ("slot_search",),
        "booked": ("appointment_requested",),
        "visiting": ("store_visit",),
        "customer": ("treatment_sold",),
    },
    amount=150.0,
    wait=("callback_requested", "callback_done", 3, 7_200, 200_000),
    promise="Called back within a day",
    promise_within="1d",
    field_event="insurance_entered",
    field_step=2,
    notices=("no_slot_notice", "location_closed"),
    notice_step=2,
    errors=("error", "booking_failed", "slot_lost"),
    mandatory="privacy_accepted",
)
BUSINESSES = (SHOP, TRIAL, CONTENT, APPOINTMENT)

VALUES = {
    "device": ("mobile", "desktop", "tablet"),
    "browser": ("Chrome", "Safari", "Firefox", "Edge"),
    "payment_method": ("card", "paypal", "invoice", "transfer"),
    "plan": ("basic", "plus", "family"),
}
