"""The commands of `pbx-billing` by name; each one's module is imported when it is asked for."""

from runtime.cli import application

app = application(
    "Prices calls, prorates options, and makes invoices of both: the same figures in every order and mode.",
    {
        "import": "billing.cli.importing:take",
        "rate": "billing.cli.importing:rate",
        "close": "billing.cli.closing:close",
        "invoice": "billing.cli.issuing:invoice",
        "credit": "billing.cli.issuing:credit",
        "report": "billing.cli.reporting:report",
        "channels": "billing.cli.lines:channels",
        "run": "billing.cli.running:run",
        "explain": "billing.cli.explaining:explain",
        "simulate": "billing.cli.pricing:simulate",
    },
    extra="billing",
)
app.add_typer(
    application("Tariffs before they count.", {"check": "billing.cli.checking:check"}, extra="billing"),
    name="tariff",
)
