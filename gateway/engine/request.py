"""What rules look at: a described request and what follows from it, worked out once, when a rule asks for it."""

from __future__ import annotations

from gateway.engine.absurd import absurdity
from gateway.engine.bots.catalogue import Catalogue, Signature
from gateway.engine.browser import Inspection, inspect
from gateway.engine.keyring import Binding
from gateway.engine.network import Place, place
from gateway.engine.path import normalised
from gateway.engine.question import Standing
from gateway.engine.session import NO_SESSION, Session
from gateway.engine.wire import Described

HEADLESS = Signature("HeadlessChrome", "headless", None)
USER_AGENT_CHARACTERS = 768  # the contract's limit; what is remembered by it (classes, bindings) holds nothing longer
HOST_CHARACTERS = 512  # the contract's limit


class Request:
    """One judgement's view. `session`, `standing`, `signed_by` and `tags` are set while it is judged.

    `standing`: of the claim to be a known crawler, "" if it claims nothing that can be confirmed or was not asked yet
    (`is_established`); `signed_by`: the host name of a verified Web Bot Auth agent, "" if none; `score_added`: by rules
    that tag.
    """

    __slots__ = (
        "_absurdity", "_bot", "_catalogue", "_host", "_inspection", "_path", "described", "is_established",
        "query", "raw_path", "score_added", "session", "signed_by", "standing", "tags", "target", "user_agent", "where",
    )  # fmt: skip

    def __init__(self, described: Described, catalogue: Catalogue) -> None:
        self.described = described
        self.where: Place = place(described.text("IP"))
        self.user_agent = described.text("UserAgent")
        self.target = described.text("Request")
        self.raw_path, _, self.query = self.target.partition("?")
        self.session: Session = NO_SESSION
        self.is_established = False
        self.standing: Standing | str = ""
        self.signed_by = ""
        self.tags: set[str] = set()
        self.score_added = 0
        self._catalogue = catalogue
        self._absurdity: str | None = None
        self._bot: Signature | bool | None = False  # False: not looked up yet
        self._host: str | None = None
        self._inspection: Inspection | None = None
        self._path: str | None = None

    @property
    def host(self) -> str:
        """The Host, lower case, without port and without the dot of the root (`shop.example.` is the same site); an
        IPv6 literal keeps its brackets."""
        if self._host is None:
            host = self.described.text("Host").lower()
            bare = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
            self._host = bare.removesuffix(".")
        return self._host

    @property
    def path(self) -> str:
        """The normalised path, without query."""
        if self._path is None:
            self._path = normalised(self.raw_path)
        return self._path

    @property
    def bot(self) -> Signature | None:
        """Which automation it says it is, None if it may be a person's."""
        bot = self._bot
        if bot is False:
            bot = self._catalogue.find(self.user_agent[:USER_AGENT_CHARACTERS])
            if bot is None and "Headless" in self.described.text("SecCHUA"):
                bot = HEADLESS
            self._bot = bot
        return bot  # type: ignore[return-value]  # True never stands here

    @property
    def absurdity(self) -> str:
        """What is impossible about it, "" if nothing."""
        if self._absurdity is None:
            self._absurdity = absurdity(self.described, is_bot=self.bot is not None)
        return self._absurdity

    @property
    def inspection(self) -> Inspection:
        """How its claim to be a browser holds against the rest of the request."""
        if self._inspection is None:
            self._inspection = inspect(self.described)
        return self._inspection

    @property
    def score(self) -> int:
        """0 (nothing speaks against a person's browser) to 100."""
        return min(100, self.inspection.score + self.score_added)

    @property
    def known_absurdity(self) -> str:
        """`absurdity`, if a rule has asked for it."""
        return self._absurdity or ""

    def binding(self, *, to_address: bool) -> Binding:
        """Whom a session or a proof of this visitor is bound to; cut like the contract cuts, since it is remembered."""
        prefix = self.where.prefix if to_address else ""
        return Binding(self.host[:HOST_CHARACTERS], prefix, self.user_agent[:USER_AGENT_CHARACTERS])
