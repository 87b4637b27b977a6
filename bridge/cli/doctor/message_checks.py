"""`kolbridge doctor`: whether what people write is answered."""

from datetime import timedelta

from bridge.cli.doctor.check import Check, warning
from bridge.messaging.extra import MISSING, PACKAGE, is_installed
from bridge.settings.message_options import message_options
from bridge.settings.process import Settings
from crm import businesses, message_work
from crm.database import Database

# A messenger claims what is due within a second, and tries again after pauses.
OVERDUE = timedelta(seconds=60)
_NAME = "written messages"


async def check_messages(
    settings: Settings, database: Database, package: str = PACKAGE
) -> list[Check]:
    """Check the messenger; without a business that answers there is no line.

    Whether one runs is seen in the database, wherever it is: what is due is worked on.
    """
    models = []
    for business_id, _ in await businesses.list_all(database):
        business = await businesses.get(database, business_id)
        if business is not None:
            options, _ = message_options(settings.message, business.settings)
            models += [options.whatsapp_model] if options.whatsapp else []
    if not models:
        return []
    if not is_installed(package):
        return [Check(_NAME, False, MISSING)]
    count = await message_work.overdue(database, OVERDUE)
    if count:
        noun = "conversation has" if count == 1 else "conversations have"
        text = (
            f"{count} {noun} waited for more than {OVERDUE.seconds} s: no messenger "
            "runs; /readyz of `kolbridge serve` and its log ([MESSAGE]) say why"
        )
        return [Check(_NAME, False, text)]
    noun = "business" if len(models) == 1 else "businesses"
    checks = [Check(_NAME, True, f"answered for {len(models)} {noun}, none waits")]
    for model in sorted({*models} - settings.openai_prices.keys()):
        text = f"OPENAI_PRICES has no price of {model}: LIMIT_COST_PER_DAY does not act"
        checks.append(warning(_NAME, text))
    return checks
