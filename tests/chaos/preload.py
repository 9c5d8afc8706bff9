"""What the fork server imports once, so that a worker starts in milliseconds and can be killed as fast."""

import django

django.setup()

import conveyor_django.management.commands.runworker  # noqa: E402, F401
