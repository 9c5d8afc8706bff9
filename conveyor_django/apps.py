from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConveyorConfig(AppConfig):
    name = "conveyor_django"
    label = "conveyor_django"
    verbose_name = _("Conveyor")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, registry, transitions  # noqa: F401 - models can't be imported before this point

        transitions.provide_verbs()
        registry.autodiscover()
