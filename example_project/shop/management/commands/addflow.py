from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from conveyor_django import FlowProducer
from example_project.shop.flows import KINDS, EmptyShop


class Command(BaseCommand):
    help = "Add flows of the example; `runworker` processes them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kinds", nargs="+", choices=KINDS, metavar="KIND", help=", ".join(KINDS))

    def handle(self, *, kinds: list[str], **options: object) -> None:
        try:
            flows = [KINDS[kind].build() for kind in kinds]
        except EmptyShop:
            raise CommandError("The shop is empty. Fill it first: python manage.py seed") from None
        for added in FlowProducer().add_bulk(flows):
            self.stdout.write(f"{added.job.id} {added.job.name}")
